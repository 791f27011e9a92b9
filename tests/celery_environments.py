"""Real Celery, each version in a virtual environment of its own, made once and kept in the user's cache directory.

Tests that use one carry the marker ``real_celery``: ``conftest.py`` has the environments made before the first of them
starts, so that an installation never counts as a test's own time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

#: The generations that tq is tested against.
VERSIONS = ("5.5", "5.7")

#: What Celery needs beside itself for the brokers, stores and formats of the tests.
_EXTRAS = "redis,msgpack,zstd,sqlalchemy"

#: The extra ``zstd`` of Celery 5.7 brings a library that its kombu does not look for; this is the one it does.
_FURTHER = {"5.7": ["backports.zstd"]}

# Read when the tests are collected: while they run, the home directory is one of their own.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tq" / "peers"


def celery_python(version: str) -> Path:
    """Return the interpreter that has a version of Celery; its environment is made when it is missing.

    Where it cannot be made the test is skipped and says why, and fails under ``CI``.

    Args:
        version: one of :data:`VERSIONS`.
    """
    try:
        return _made(version)
    except _NotMadeError as error:
        reason = f"no environment with Celery {version} can be made: {error}"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def prepare() -> None:
    """Make every environment that is missing; one that cannot be made is left to the tests that ask for it."""
    for version in VERSIONS:
        with suppress(_NotMadeError):
            _made(version)


class _NotMadeError(Exception):
    """An environment cannot be made."""


@cache
def _made(version: str) -> Path:
    wanted = [f"celery[{_EXTRAS}]=={version}.*", *_FURTHER.get(version, ())]
    # The interpreter below the virtual environments: checkouts side by side share what it makes.
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    recipe = hashlib.sha256(f"{base} {wanted}".encode()).hexdigest()[:8]
    home = _CACHE / f"celery-{version}-{recipe}"
    interpreter, finished = home / "bin" / "python", home / ".finished"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other runs may be making it right now
        if not finished.exists():
            shutil.rmtree(home, ignore_errors=True)
            _run(str(base if base.exists() else sys.executable), "-m", "venv", str(home))
            _run(str(interpreter), "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted)
            finished.touch()
    return interpreter


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise _NotMadeError((done.stderr or done.stdout).strip()[-500:])
