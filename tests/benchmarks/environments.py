"""Virtual environments of peers and of bare clients, made once and kept in the user's cache directory."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]


class Unavailable(Exception):
    """An environment cannot be made; the text says why and what to do."""


@dataclass(frozen=True)
class Peer:
    """What is installed for one measured system.

    Attributes:
        name: the word for it on the command line, and its module in ``systems/``.
        requires: pinned requirements.
        brokers: where it runs, and by how much what is asked of it is divided there.
        imports: the statement whose time is its import time.
        python: versions it runs under; empty when the benchmark's own will do.
        skips: by broker, the measures that would take many minutes there.
        differs: what is not equal.
    """

    name: str
    requires: Sequence[str]
    brokers: Mapping[str, int]
    imports: str = ""
    python: Sequence[str] = ()
    skips: Mapping[str, Sequence[str]] = field(default_factory=dict)
    differs: str = ""


@cache
def known() -> Mapping[str, Peer]:
    """Return what ``peers.yaml`` describes, by name."""
    described = yaml.safe_load((_HERE / "peers.yaml").read_text("utf-8"))
    return {name: Peer(name=name, **fields) for name, fields in described.items()}


def peers() -> list[str]:
    """Return the names of the systems that tq can be measured against."""
    return [name for name in known() if name != "ceilings"]


def variables() -> dict[str, str]:
    """Return the environment of whatever is measured: modules may be compiled once, as where they are installed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(_ROOT)}


@cache
def python(system: str) -> Path:
    """Return the interpreter that has a measured system, and make its environment when it is missing or out of date.

    Args:
        system: a peer's name, or ``ceilings.NAME``; what needs no other package gets this very interpreter.

    Raises:
        Unavailable: no fitting Python was found, or pip failed.
    """
    name = system.partition(".")[0]
    if name not in known() or system == "ceilings.sqlite":
        return Path(sys.executable)
    peer = known()[name]
    base = base_of(peer)
    recipe = hashlib.sha256("\n".join([base, *peer.requires]).encode()).hexdigest()[:12]
    directory = cache_directory() / f"{name}-{recipe}"
    interpreter = directory / "bin" / "python"
    finished = directory / ".finished"
    if not finished.exists():
        print(f"making {directory}: {', '.join(peer.requires)}", file=sys.stderr, flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        _run([base, "-m", "venv", str(directory)], name)
        _run([str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requires], name)
        finished.touch()
    return interpreter


def cache_directory() -> Path:
    """Return where the environments are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tq" / "benchmarks"


def base_of(peer: Peer) -> str:
    """Return an interpreter of a version that the peer runs under.

    Raises:
        Unavailable: there is none.
    """
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if not peer.python or own in peer.python:
        return sys.executable
    for version in peer.python:
        for candidate in (shutil.which(f"python{version}"), *_installed(version)):
            if candidate and _is(candidate, version):
                return str(candidate)
    raise Unavailable(
        f"{peer.name} needs Python {' or '.join(peer.python)}, which is neither on PATH nor below ~/.pyenv/versions "
        "or ~/.local/share/uv/python: install it"
    )


def _installed(version: str) -> list[Path]:
    """Return interpreters where pyenv and uv keep theirs."""
    places = [(Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions", f"{version}.*")]
    places.append((Path.home() / ".local/share/uv/python", f"cpython-{version}.*"))
    return [path / "bin" / f"python{version}" for place, name in places for path in sorted(place.glob(name))]


def _is(candidate: object, version: str) -> bool:
    """Return whether it runs: a shim on PATH may stand for a version that is not active."""
    try:
        done = subprocess.run([str(candidate), "-V"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.startswith(f"Python {version}.")


def _run(command: Sequence[str], name: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"the environment of {name} cannot be made: {(done.stderr or done.stdout).strip()[-500:]}")
