"""A virtual environment with tq, the example plugins of the documentation and faulty samples, as a user has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).parent / "samples"
CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "docs" / "plugins" / "examples"


@dataclass(frozen=True, slots=True)
class Environment:
    """Runs programs in the virtual environment."""

    python: Path
    cwd: Path

    def call(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments, in a directory of its own unless another is given."""
        return subprocess.run(
            [self.python, *arguments],
            capture_output=True,
            text=True,
            env=self._variables(),
            cwd=cwd or self.cwd,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start Python with these arguments, its two outputs in one pipe."""
        return subprocess.Popen(
            [self.python, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._variables(),
            cwd=self.cwd,
            start_new_session=True,
        )

    def _variables(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return {**clean, "PYTHONUNBUFFERED": "1", "HYPOTHESIS_STORAGE_DIRECTORY": str(self.cwd / ".hypothesis")}

    def run(self, program: str) -> Any:
        """Run a program and return the JSON it printed."""
        done = self.call("-c", PREAMBLE + program)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def plugins(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``tq plugins``."""
        return self.call("-m", "tq_core.cli.plugins", *arguments)

    def pytest(self, project: Path) -> subprocess.CompletedProcess[str]:
        """Run a project's own tests with its own configuration."""
        return self.call("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "pyproject.toml", cwd=project)

    def install(self, *projects: Path) -> None:
        """Install projects with what is here: no network is used."""
        quietly = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
        done = self.call("-m", "pip", "install", *quietly, *map(str, projects))
        assert done.returncode == 0, done.stderr


#: What every program starts with; ``refusal`` calls something and tells which plugin error it raised.
PREAMBLE = """
import json, sys
from tq_core.errors import PluginError
from tq_core.plugin.manager import PluginManager

def show(value):
    print(json.dumps(value))

def refusal(function, *arguments):
    try:
        function(*arguments)
    except PluginError as error:
        return type(error).__name__, str(error)
    return "nothing was raised", ""

"""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment; what tq depends on comes from the running interpreter: no network is used."""
    root = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", root / "venv"], check=True)
    python = root / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    environment = Environment(python, root)
    purelib = environment.call("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    Path(purelib, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    projects = (project.parent for root in (EXAMPLES, SAMPLES) for project in sorted(root.glob("*/pyproject.toml")))
    environment.install(CHECKOUT, *projects)
    return environment
