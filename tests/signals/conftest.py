"""A project whose signals are written down, and its worker."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import WorkerProcess

_PROJECT = Path(__file__).with_name("project.py")


@pytest.fixture
def env(tmp_path: Path, sqlite_url: str) -> dict[str, str]:
    return {**os.environ, "TEST_URL": sqlite_url, "TEST_NOTES": str(tmp_path / "notes"), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def project(tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The project's module in the test's own process, which is the caller."""
    (tmp_path / "project.py").write_text(_PROJECT.read_text())
    for name in ("TEST_URL", "TEST_NOTES"):
        monkeypatch.setenv(name, env[name])
    spec = importlib.util.spec_from_file_location("project", tmp_path / "project.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "project", module)
    spec.loader.exec_module(module)
    yield module
    module.disconnect()
    module.app.close()


@pytest.fixture
def start_worker(tmp_path: Path, env: dict[str, str], project: Any) -> Iterator[Callable[..., WorkerProcess]]:
    started: list[WorkerProcess] = []

    def start(*options: str) -> WorkerProcess:
        started.append(WorkerProcess(tmp_path, env, *options))
        return started[-1]

    yield start
    for worker in started:
        worker.kill_everything()


@pytest.fixture
def notes(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Returns what has been written down so far, in order."""

    def read() -> list[dict[str, Any]]:
        path = tmp_path / "notes"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return read
