"""Makes the virtual environment of a checkout; called by the Makefile.

    python scripts/environment.py {runtime | dev} VENV

``runtime`` installs the core with its extras and every plugin below ``plugins/``, editable; ``dev`` adds what
``requirements-dev.txt`` names. What was installed is kept as wheels in a directory that all checkouts of a user
share (``TQ_WHEELS``, by default ``~/.cache/tq/wheels``), so that the next checkout can be set up with no network.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
#: What builds the editable distributions: pip's isolated builds would fetch it anew each time, from the network.
BUILD_TOOLS = ["hatchling>=1.27", "editables>=0.5"]


class SetupError(Exception):
    """The environment cannot be made; the text says why and what to do."""


def wheel_directory() -> Path:
    """Returns the directory of kept wheels, which may not exist yet."""
    if named := os.environ.get("TQ_WHEELS"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tq" / "wheels"


def requirements(kind: str) -> list[str]:
    """Returns pip's arguments that name what to install.

    Args:
        kind: ``runtime`` or ``dev``.
    """
    if kind == "dev":
        return ["-r", "requirements-dev.txt"]
    plugins = sorted(path.parent.name for path in CHECKOUT.glob("plugins/*/pyproject.toml"))
    named = ["-e", ".[all]"]
    for plugin in plugins:
        named += ["-e", f"./plugins/{plugin}"]
    return named


def create(venv: Path) -> Path:
    """Makes the virtual environment, or makes it anew when it has no working pip.

    Args:
        venv: Its directory.

    Returns:
        The path of its interpreter.

    Raises:
        SetupError: Python's own ``venv`` or ``ensurepip`` is missing or failed.
    """
    python = venv / "bin" / "python"
    if python.exists() and run([str(python), "-m", "pip", "--version"]).returncode == 0:
        return python
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        raise SetupError(
            f"{sys.executable} cannot make virtual environments: venv or ensurepip is missing. "
            "On Debian and Ubuntu: apt install python3-venv"
        )
    made = run([sys.executable, "-m", "venv", "--clear", str(venv)])
    if made.returncode:
        raise SetupError(f"{sys.executable} -m venv {venv} failed:\n{made.stdout}")
    return python


def install(python: Path, wanted: list[str]) -> None:
    """Installs from the kept wheels, or from the package index when they do not suffice.

    The wheels come first: without a network an index takes minutes to say no, and with one they save the download.

    Args:
        python: The environment's interpreter.
        wanted: pip's arguments that name what to install.

    Raises:
        SetupError: Neither had everything; carries what pip said.
    """
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command.append("--no-build-isolation")
    wheels = wheel_directory()
    if (
        any(wheels.glob("*.whl"))
        and run([*command, "--no-index", "--find-links", str(wheels), *wanted]).returncode == 0
    ):
        print(f"environment: installed from {wheels}")
        return
    online = run([*command, "--retries", "2", *wanted])
    if online.returncode:
        raise SetupError(
            f"pip could not install {' '.join(wanted)}:\n{online.stdout}\n"
            f"The wheels kept in {wheels} did not suffice either. "
            "If the network is missing: one run with it, and from then on it works without."
        )


def keep_wheels(python: Path) -> None:
    """Keeps a wheel of every third-party package of the environment, at the version installed.

    A failure is reported and forgiven: only a later set-up without a network needs the wheels.

    Args:
        python: The environment's interpreter.
    """
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    frozen = run([*pip, "freeze", "--exclude-editable"], errors=subprocess.DEVNULL)
    wheels = wheel_directory()
    with tempfile.TemporaryDirectory() as scratch:
        pins = Path(scratch) / "pins.txt"
        pins.write_text(frozen.stdout, encoding="utf-8")
        fetch = [*pip, "wheel", "--quiet", "--no-input", "--no-deps", "--wheel-dir", str(wheels), "-r", str(pins)]
        if run([*fetch, "--no-index", "--find-links", str(wheels)]).returncode == 0:
            return
        fetched = run(fetch)
    if fetched.returncode:
        print(f"environment: wheels were not kept in {wheels}; a set-up without a network may fail:")
        print(fetched.stdout)


def run(command: list[str], errors: int = subprocess.STDOUT) -> subprocess.CompletedProcess[str]:
    """Runs a command in the checkout and returns it finished.

    Args:
        command: The program and its arguments.
        errors: Where its standard error goes; into ``stdout`` unless told.
    """
    return subprocess.run(command, cwd=CHECKOUT, check=False, text=True, stdout=subprocess.PIPE, stderr=errors)


def main(arguments: list[str]) -> int:
    """Runs the command line above.

    Args:
        arguments: What follows the script's name.

    Returns:
        The exit code: 0, 1 when the environment could not be made, 2 for wrong usage.
    """
    if len(arguments) != 2 or arguments[0] not in {"runtime", "dev"}:
        print(__doc__, file=sys.stderr)
        return 2
    kind, venv = arguments
    print(f"environment: installing {kind} packages into {venv}", flush=True)
    try:
        python = create((CHECKOUT / venv).absolute())
        install(python, BUILD_TOOLS)
        install(python, requirements(kind))
        keep_wheels(python)
    except SetupError as error:
        print(f"environment: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
