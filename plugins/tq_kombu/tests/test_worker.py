"""A worker on a shared folder from end to end, alone and beside Celery."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker.conftest import Bell, Gate, WorkerProcess
from tq_core.testing.conformance.patience import until

PROJECT = Path(__file__).with_name("project.py")


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[Bell]:
    with contextlib.closing(Bell(tmp_path / "bell")) as bell:
        yield bell


@pytest.fixture
def open_gate(tmp_path: Path) -> Iterator[Callable[[], None]]:
    with contextlib.closing(Gate(tmp_path / "gate")) as gate:
        yield gate.open


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    for folder in ("messages", "results", "control"):
        (tmp_path / folder).mkdir()
    (tmp_path / "project.py").write_text(PROJECT.read_text("utf-8"), "utf-8")
    names = {"ROOT": "", "BELL": "bell", "GATE": "gate"}
    own = {f"TEST_{name}": str(tmp_path / path) for name, path in names.items()}
    return {**os.environ, **own, "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def project(tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The project's module, loaded in the test's own process as a client would."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
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
    started: list[WorkerProcess] = []

    def start(*options: str) -> WorkerProcess:
        started.append(WorkerProcess(tmp_path, env, *options))
        return started[-1]

    yield start
    for worker in started:
        worker.kill_everything()


def waiting(folder: Path, queue: str = "celery") -> list[Path]:
    """Return the files of a queue."""
    return sorted(file for file in (folder / "messages").iterdir() if file.name.partition(".")[2] == f"{queue}.msg")


def test_tasks_retries_chains_and_countdowns_run(start_worker: Any, project: Any, tmp_path: Path) -> None:
    start_worker("-c", "2").ready()
    assert project.add.delay(2, 3).get(timeout=30) == 5
    assert project.third_time.delay().get(timeout=30) == 2
    assert (project.add.s(1, 2) | project.chained.s(10)).delay().get(timeout=30) == 30
    due = time.time() + 0.6
    assert project.add.apply_async((1, 1), countdown=0.6).get(timeout=30) == 2
    assert time.time() >= due - 0.01
    until(lambda: not waiting(tmp_path), "messages are left")


def test_a_warm_shutdown_finishes_what_runs_and_gives_the_rest_back(
    start_worker: Any, project: Any, bell: Bell, open_gate: Callable[[], None], tmp_path: Path
) -> None:
    worker = start_worker("-c", "1").ready()
    running = project.wait_at_gate.delay("first")
    bell.wait("waiting")
    rest = [project.add.delay(n, n) for n in range(5)]
    far = project.add.apply_async((1, 1), countdown=3600)
    worker.signal(signal.SIGTERM)
    worker.wait_for("[Ss]hutdown|stopping|Stopping")
    open_gate()
    assert worker.wait() == 0
    assert running.get(timeout=30) == "first"
    assert len(waiting(tmp_path)) == 6
    start_worker("-c", "1").ready()
    assert [result.get(timeout=30) for result in rest] == [0, 2, 4, 6, 8]
    assert not far.ready()


def test_a_killed_worker_loses_what_it_held_and_nothing_else(
    start_worker: Any, project: Any, bell: Bell, open_gate: Callable[[], None], tmp_path: Path
) -> None:
    worker = start_worker("-c", "1").ready()
    worker.wait_for("what a worker holds is lost")
    project.wait_at_gate.delay("held")
    bell.wait("waiting")
    rest = [project.add.delay(n, n) for n in range(5)]
    kept = len(waiting(tmp_path))
    assert kept >= 4
    worker.kill_everything()
    open_gate()
    start_worker("-c", "1").ready()
    until(lambda: sum(result.ready() for result in rest) >= kept, "what was not held is lost")
    assert bell.said("waiting") == [["held"]]


def test_what_cannot_be_run_is_kept_in_the_queue_of_the_dead(start_worker: Any, project: Any, tmp_path: Path) -> None:
    (tmp_path / "messages" / "0_half.celery.msg").write_bytes(b'{"body": "hal')
    project.app.send_task("nobody.knows", (1,))
    start_worker("-c", "1").ready()
    assert project.add.delay(2, 3).get(timeout=30) == 5
    until(lambda: len(waiting(tmp_path, "tq.dead")) == 2, "they are not in the queue of the dead")
    letters = [json.loads(file.read_text("utf-8")) for file in waiting(tmp_path, "tq.dead")]
    notes = [letter["headers"]["x-tq-buried"] for letter in letters]
    assert {note["queue"] for note in notes} == {"celery"}
    assert "not JSON" in notes[0]["reason"]
    assert "nobody.knows" in notes[1]["reason"]
    assert letters[1]["headers"]["task"] == "nobody.knows"


@pytest.mark.real_celery
@pytest.mark.parametrize("compression", ["", "zlib"])
@pytest.mark.parametrize("queue", ["celery", "with.dots"])
def test_celerys_client_has_its_tasks_run_here(
    start_worker: Any, env: dict[str, str], celery_python: Path, tmp_path: Path, compression: str, queue: str
) -> None:
    env |= {"TEST_COMPRESSION": compression, "TEST_QUEUE": queue}
    start_worker("-c", "2").ready()
    code = (
        "import project as p; print([r.get(timeout=30) for r in (p.add.delay(2, 3), "
        "(p.add.s(1, 2) | p.chained.s(10)).delay(), p.third_time.delay())])"
    )
    assert celery(celery_python, "-c", code, cwd=tmp_path, env=env) == "[5, 30, 2]\n"


@pytest.mark.real_celery
@pytest.mark.parametrize("compression", ["", "zlib"])
def test_celerys_worker_runs_tasks_sent_from_here(
    project: Any, env: dict[str, str], celery_python: Path, tmp_path: Path, compression: str
) -> None:
    project.app.conf.task_compression = compression or None
    results = [project.add.delay(n, n) for n in range(20)]
    results.append((project.add.s(1, 2) | project.chained.s(10)).delay())
    command = [celery_python, "-m", "celery", "-A", "project", "worker", "-P", "solo"]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            assert [result.get(timeout=60) for result in results] == [*range(0, 40, 2), 30]
        finally:
            worker.terminate()
            worker.wait(30)
    assert waiting(tmp_path) == []


def celery(python: Path, *arguments: str, cwd: Path, env: dict[str, str]) -> str:
    """Run Celery's interpreter and return what it prints."""
    done = subprocess.run(
        [python, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
