"""A real worker in processes of its own, and ways to hear from its tasks without polling."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Bell, Gate, WorkerProcess

PROJECT = Path(__file__).with_name("project.py")


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[Bell]:
    with contextlib.closing(Bell(tmp_path / "bell")) as bell:
        yield bell


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'queue.db'}"


@pytest.fixture
def env(tmp_path: Path, url: str, bell: Bell) -> dict[str, str]:
    return {
        **os.environ,
        "TEST_URL": url,
        "TEST_BELL": str(bell.path),
        "TEST_GATE": str(tmp_path / "gate"),
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def project_file() -> Path:
    """The application of these tests; a test module may have another."""
    return PROJECT


@pytest.fixture
def project(tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch, project_file: Path) -> Iterator[Any]:
    """The project's module, loaded in the test's own process as a client would."""
    (tmp_path / "project.py").write_text(project_file.read_text())
    for name in ("TEST_URL", "TEST_BELL", "TEST_GATE"):
        monkeypatch.setenv(name, env[name])
    spec = importlib.util.spec_from_file_location("project", tmp_path / "project.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "project", module)
    spec.loader.exec_module(module)
    yield module
    module.app.close()


@pytest.fixture
def start_worker(tmp_path: Path, env: dict[str, str], project: Any) -> Iterator[Callable[..., WorkerProcess]]:
    """Start a worker with these options; whatever is left of it is killed at the end."""
    started: list[WorkerProcess] = []

    def start(*options: str, application: str = "project") -> WorkerProcess:
        worker = WorkerProcess(tmp_path, env, *options, application=application)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill_everything()


@pytest.fixture
def open_gate(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Let every task that waits at the gate, now or later, go on."""
    with contextlib.closing(Gate(tmp_path / "gate")) as gate:
        yield gate.open
