"""What ``tq plugins new`` writes installs, is found, and keeps what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tq_core.plugin.scaffold import USAGE

from .conftest import CHECKOUT

if TYPE_CHECKING:
    from .conftest import Environment

pytestmark = pytest.mark.timeout(300)

CONTRACTS = sorted(USAGE)


def name_of(contract: str) -> str:
    return f"new-{contract.replace('_', '-')}"


@pytest.fixture(scope="module")
def written(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a new plugin of each kind, written by the command and installed."""
    directory = tmp_path_factory.mktemp("written")
    for contract in CONTRACTS:
        done = environment.call(
            *("-m", "tq_core.cli.main", "plugins", "new", name_of(contract), "--kind", contract), cwd=directory
        )
        assert done.returncode == 0, done.stderr
        assert f"tq-{name_of(contract)}/pyproject.toml\n" in done.stdout
    environment.install(*(directory / f"tq-{name_of(contract)}" for contract in CONTRACTS))
    return directory


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_new_plugin_is_found(environment: Environment, written: Path, contract: str) -> None:
    (found,) = json.loads(environment.plugins("check", f"{contract}s.{name_of(contract)}", "--json").stdout)
    assert (found["state"], found["distribution"]) == ("ok", f"tq-{name_of(contract)}")


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_new_plugin_passes_its_own_tests(environment: Environment, written: Path, contract: str) -> None:
    done = environment.pytest(written / f"tq-{name_of(contract)}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_a_new_plugins_description_keeps_its_contract(environment: Environment, written: Path) -> None:
    names = [name_of(contract) for contract in CONTRACTS]
    done = environment.plugins("test", *names, "--contract", "plugin", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [report["plugin"] for report in json.loads(done.stdout)] == names


def test_what_is_written_is_tidy(written: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--config", CHECKOUT / "docs/plugins/examples/ruff.toml", written],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Shelf", "lower-case"),
        ("my_shelf", "lower-case"),
        ("../shelf", "lower-case"),
        ("tq-shelf", "the name alone: shelf"),
        ("memory", "offered by tq-core"),
        ("redis", "offered by tq-redis"),
        ("beanstalk", "there is a distribution tq-beanstalk already"),
    ],
)
def test_a_name_that_cannot_be_is_refused(environment: Environment, tmp_path: Path, name: str, said: str) -> None:
    done = environment.call("-m", "tq_core.cli.main", "plugins", "new", name, "--kind", "broker", cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    new = ("-m", "tq_core.cli.main", "plugins", "new", "shelf", "--kind", "pool", "--directory")
    done = environment.call(*new, str(tmp_path))
    assert done.returncode == 2
    assert "not an empty directory" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
    done = environment.call(*new, str(tmp_path / "elsewhere"), "--json")
    assert str(tmp_path / "elsewhere" / "src" / "tq_shelf" / "pool.py") in json.loads(done.stdout)["files"]
