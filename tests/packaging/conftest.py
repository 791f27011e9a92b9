"""The distributions of this checkout, built once for all packaging tests and without a network."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Built:
    """One project and what was built of it.

    Attributes:
        project: Its directory in the checkout.
        sdist: The source archive.
        wheel: The wheel built from the project's directory.
        wheel_of_sdist: The wheel built from the unpacked source archive.
    """

    project: Path
    sdist: Path
    wheel: Path
    wheel_of_sdist: Path


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """Every distribution, by its project's directory name: ``core`` for the root, else that of the plugin."""
    projects = {"core": CHECKOUT}
    projects |= {path.parent.name: path.parent for path in sorted(CHECKOUT.glob("plugins/*/pyproject.toml"))}
    return {name: _build(path, tmp_path_factory.mktemp(name)) for name, path in projects.items()}


def _build(project: Path, target: Path) -> Built:
    build = [sys.executable, "-m", "build", "--no-isolation", str(project), "--outdir"]
    for arguments in (["tree", "--wheel"], ["source"]):
        done = subprocess.run(
            [*build, str(target / arguments[0]), *arguments[1:]],
            cwd=target,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, f"building {project} failed:\n{done.stdout}"
    (wheel,) = (target / "tree").glob("*.whl")
    (sdist,) = (target / "source").glob("*.tar.gz")
    (wheel_of_sdist,) = (target / "source").glob("*.whl")
    return Built(project, sdist, wheel, wheel_of_sdist)
