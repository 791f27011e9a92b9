"""What users install: each distribution is complete, and all of them work together in an empty environment."""

from __future__ import annotations

import email
import email.message
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
VERSION = (CHECKOUT / "VERSION").read_text(encoding="utf-8").strip()

pytestmark = pytest.mark.timeout(600)


def files_of(wheel: Path) -> dict[str, bytes]:
    """Returns the content of a wheel by path, without the list of its own check sums."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def metadata_of(wheel: Path) -> email.message.Message:
    """Returns the metadata headers of a wheel."""
    files = files_of(wheel)
    (name,) = (name for name in files if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(files[name])


def package_of(project: Path) -> Path:
    """Returns the directory of the one package a project ships."""
    (package,) = (path for path in [project / "tq_core", *project.glob("src/*")] if (path / "py.typed").exists())
    return package


@pytest.fixture(scope="module")
def installed(distributions: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` directory of a virtual environment that holds the built wheels and their dependencies only."""
    venv = tmp_path_factory.mktemp("an environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    # Third-party packages come from the running environment, so that no network is needed. tq's own are left
    # behind: their metadata would stand beside that of the wheels.
    borrowed = venv / "borrowed"
    borrowed.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("tq_", "_tq_", "__")) and entry.suffix != ".pth":
            (borrowed / entry.name).symlink_to(entry)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(f"{borrowed}\n", encoding="utf-8")
    wheels = [str(built.wheel_of_sdist) for built in distributions.values()]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index", "--no-deps"]
    done = subprocess.run([*pip, *wheels], env=clean_environment(), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python.parent


def clean_environment() -> dict[str, str]:
    """Returns the environment without what would let the checkout itself be imported."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(directory: Path, *command: str) -> str:
    """Runs an installed command outside the checkout and returns what it printed."""
    done = subprocess.run(
        [str(directory / command[0]), *command[1:]],
        cwd=directory,
        env=clean_environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command} exited {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_distribution_carries_the_version_of_the_version_file(distributions: dict[str, Any]) -> None:
    versions = {name: metadata_of(built.wheel)["Version"] for name, built in distributions.items()}
    assert versions == dict.fromkeys(distributions, VERSION)


def test_a_wheel_built_from_the_source_archive_equals_the_one_built_from_the_tree(
    distributions: dict[str, Any],
) -> None:
    for built in distributions.values():
        assert files_of(built.wheel_of_sdist) == files_of(built.wheel)


def test_a_wheel_holds_every_file_of_its_package(distributions: dict[str, Any]) -> None:
    for built in distributions.values():
        package = package_of(built.project)
        expected = {
            path.relative_to(package.parent).as_posix()
            for path in package.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        shipped = {name for name in files_of(built.wheel) if ".dist-info/" not in name}
        assert shipped == expected
        assert f"{package.name}/py.typed" in shipped


def test_the_metadata_names_licence_summary_readme_and_python(distributions: dict[str, Any]) -> None:
    licence = (CHECKOUT / "LICENSE").read_bytes()
    for built in distributions.values():
        metadata = metadata_of(built.wheel)
        assert metadata["License-Expression"] == "BSD-3-Clause"
        assert metadata.get_all("License-File") == ["LICENSE"]
        assert metadata["Summary"]
        assert metadata["Requires-Python"] == ">=3.10"
        assert metadata["Description-Content-Type"] == "text/markdown"
        assert str(metadata.get_payload()).strip()
        shipped = files_of(built.wheel)
        assert [data for name, data in shipped.items() if name.endswith("/licenses/LICENSE")] == [licence]


def test_a_source_archive_holds_one_project_only(distributions: dict[str, Any]) -> None:
    for built in distributions.values():
        with tarfile.open(built.sdist) as archive:
            names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
        assert {"LICENSE", "README.md", "PKG-INFO", "pyproject.toml"} <= names
        assert not {name for name in names if name.startswith(("plugins/", "tests/", "docs/"))}


def test_everything_installed_can_be_imported_from_the_wheels(installed: Path, distributions: dict[str, Any]) -> None:
    packages = [package_of(built.project).name for built in distributions.values()]
    script = "import sys, importlib\nfor name in sys.argv[1:]: print(importlib.import_module(name).__file__)"
    places = run(installed, "python", "-c", script, *packages).splitlines()
    assert [Path(place).parent.name for place in places] == packages
    assert all(Path(place).is_relative_to(installed.parent) for place in places)


def test_the_installed_command_tells_its_version(installed: Path) -> None:
    assert VERSION in run(installed, "tq", "--version")


def test_the_installed_command_lists_the_plugins_of_every_distribution(
    installed: Path, distributions: dict[str, Any]
) -> None:
    listed = run(installed, "tq", "plugins", "list", "--json")
    json.loads(listed)
    for built in distributions.values():
        assert f'"{metadata_of(built.wheel)["Name"]}"' in listed


def test_every_plugin_is_named_where_the_tools_look(distributions: dict[str, Any]) -> None:
    """Type checker, import rules and plain pip know each plugin only by what these files say."""
    pyproject = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    requirements = (CHECKOUT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    for name, built in distributions.items():
        if name == "core":
            continue
        package = package_of(built.project)
        assert f"-e plugins/{name}" in requirements
        assert f'"plugins/{name}/src"' in pyproject
        assert f'"{package.name}.** -> tq_core.contracts"' in pyproject
