"""Servers that stand in for services, and Celery itself, each from an environment of its own.

The environments are made once and kept in the user's cache directory, so that who does not touch this plugin need not
install them.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import celery_environments
from tq_core.testing.conformance.patience import until

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tq" / "peers"


def environment(name: str, *requirements: str) -> Path:
    """Return the ``bin`` directory of an environment with these packages."""
    home = CACHE / f"{name}-{sys.version_info[0]}.{sys.version_info[1]}"
    finished = home / ".finished"
    if not finished.exists():
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", *requirements], check=True)
        finished.touch()
    return home / "bin"


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str | Path], port: int, log: Path) -> Iterator[None]:
    """Run a server until the block ends; it is waited for until it accepts connections."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def answers() -> bool:
        assert process.poll() is None, f"{command[0]} ended:\n{log.read_text(errors='replace')}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(answers, f"{command[0]} does not listen")
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _moto() -> Path:
    # moto[server] would bring a third of a gigabyte for services that are not needed here.
    return environment("moto-5.2", "moto==5.2.*", "flask", "flask-cors")


@pytest.fixture(scope="session")
def sqs_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a moto server, which speaks the protocol of SQS."""
    port = _unused_port()
    command: list[str | Path] = [_moto() / "moto_server"]
    command += ["-H", "127.0.0.1", "-p", str(port)]
    with serving(command, port, tmp_path_factory.mktemp("moto") / "log"):
        yield port


@pytest.fixture(scope="session")
def mongodb_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a SecantusDB, which speaks MongoDB's wire protocol."""
    port, directory = _unused_port(), tmp_path_factory.mktemp("secantus")
    command: list[str | Path] = [environment("secantusdb-0.7.0b3", "SecantusDB==0.7.0b3") / "secantusd-py"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--storage-path", directory / "data", "--standalone"]
    with serving(command, port, directory / "log"):
        yield port


@pytest.fixture(scope="session")
def celery_python() -> Path:
    """An interpreter that has Celery."""
    return celery_environments.celery_python("5.7")
