"""A task's way through the broker, backend, serializer and pool of the tutorials, chosen by YAML alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Environment

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals"),
]

CONFIGURATION = """\
broker_url: directory://{directory}/messages
result_backend: sqlite3://{directory}/results.db
task_serializer: cbor
result_serializer: cbor
accept_content: [cbor]
worker_pool: fresh
worker_concurrency: 2
directory_poll_interval: 0.01
lease_duration: 1

plugins_disabled: [sample-disabled]
plugins_prefer:
  brokers.demo: sample-demo-two
"""

TASKS = """\
import pathlib
import threading

from tq_core import Celery

kept = threading.local()
app = Celery("tasks")
app.config_from_file()


@app.task
def shout(words):
    return words.upper()


@app.task(bind=True)
def look_around(self):
    found = getattr(kept, "left", None)
    kept.left = self.request.id
    return [self.request.delivery_info["routing_key"], found]


@app.task(bind=True, acks_late=True)
def wait_for(self, name):
    directory = pathlib.Path(name)
    (directory / "begun").touch()
    while not (directory / "go on").exists():
        threading.Event().wait(0.02)
    return self.request.delivery_info["redelivered"]


@app.task
def weigh(load):
    return [type(load).__name__, len(load), load]


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def stumble():
    raise ValueError("over a rug")
"""


class Worker:
    """``tq -A tasks worker`` with what it has written so far."""

    def __init__(self, environment: Environment) -> None:
        self.process = environment.start("-m", "tq_core.cli.main", "-A", "tasks", "worker", "-l", "info")
        self.text = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.text += line
            if line.endswith(" ready.\n"):
                self._ready.set()
        self._ready.set()

    def wait_ready(self) -> None:
        assert self._ready.wait(60), self.text
        assert " ready.\n" in self.text, self.text

    def stop(self) -> int:
        """Shut down warmly and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self._reader.join(60)
        return code


@pytest.fixture(scope="module")
def project(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A directory with a configuration and a module of tasks, and nothing else."""
    return project_in(tmp_path_factory.mktemp("project"), environment)


def project_in(directory: Path, environment: Environment) -> Environment:
    (directory / "celeryconfig.yaml").write_text(CONFIGURATION.format(directory=directory.as_posix()))
    (directory / "tasks.py").write_text(TASKS)
    return replace(environment, cwd=directory)


@pytest.fixture(scope="module")
def worker(project: Environment) -> Iterator[Worker]:
    worker = Worker(project)
    try:
        worker.wait_ready()
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()


def test_the_worker_says_what_it_uses(worker: Worker, project: Environment) -> None:
    assert f"transport:   directory://{project.cwd.as_posix()}/messages\n" in worker.text
    assert f"results:     sqlite3://{project.cwd.as_posix()}/results.db\n" in worker.text
    assert "concurrency: 2 (fresh)\n" in worker.text


def test_what_yaml_switches_off_is_not_imported(project: Environment) -> None:
    done = project.call("-c", "import sys, tasks; sys.exit('sample_disabled' in sys.modules)")
    assert "sample-disabled" not in done.stderr
    assert "plugins_prefer" not in done.stderr


def test_a_call_from_another_process_is_answered(worker: Worker, project: Environment) -> None:
    answers = project.run("""
import tasks
words = tasks.shout.delay("hello")
show([words.get(timeout=60), *(tasks.look_around.delay().get(timeout=60) for _ in range(3))])
""")
    assert answers == ["HELLO", *[["celery", None]] * 3]


def test_bytes_stay_bytes_on_their_way(worker: Worker, project: Environment) -> None:
    assert project.run("""
import tasks
kind, length, load = tasks.weigh.delay(bytes(range(256))).get(timeout=60)
show([kind, length, load == bytes(range(256))])
""") == ["bytes", 256, True]


def test_a_chord_is_counted(worker: Worker, project: Environment) -> None:
    assert (
        project.run("""
import tasks
from tq_core import chord
show(chord(tasks.total.s([n, n]) for n in range(5))(tasks.total.s()).get(timeout=60))
""")
        == 20
    )


def test_an_error_comes_back_as_itself(worker: Worker, project: Environment) -> None:
    assert project.run("""
import tasks
try:
    tasks.stumble.delay().get(timeout=60)
except ValueError as error:
    show(str(error))
""") == ("over a rug")


def test_a_message_waits_in_its_file_as_cbor(project: Environment) -> None:
    """Nobody receives from this queue, so that the message can be looked at."""
    project.run('import tasks\ntasks.shout.apply_async(("hello",), queue="aside")\nshow(None)')
    (file,) = (project.cwd / "messages" / "queues" / "=aside").iterdir()
    head, _, body = file.read_bytes().partition(b"\n")
    message = json.loads(head)
    assert message["content_type"] == "application/cbor"
    assert message["headers"]["task"] == "tasks.shout"
    assert body.startswith(b"\x83\x81\x65hello\xa0")


def test_a_result_lies_in_its_row_as_cbor(worker: Worker, project: Environment) -> None:
    task_id = project.run("""
import tasks
result = tasks.shout.delay("hello")
result.get(timeout=60)
show(result.id)
""")
    with contextlib.closing(sqlite3.connect(project.cwd / "results.db")) as results:
        ((document,),) = results.execute("select document from results where task_id = ?", (task_id,))
    assert b"\x66result\x65HELLO" in document


def test_the_list_of_plugins_names_all_four(project: Environment) -> None:
    done = project.call("-m", "tq_core.cli.main", "plugins", "list", "--json")
    assert done.returncode == 0, done.stderr
    found = {(s["kind"], s["name"]): (s["distribution"], s["state"]) for s in json.loads(done.stdout)}
    assert found["brokers", "directory"] == ("tq-broker-directory", "ok")
    assert found["backends", "sqlite3"] == ("tq-backend-sqlite3", "ok")
    assert found["serializers", "cbor"] == ("tq-serializer-cbor", "ok")
    assert found["pools", "fresh"] == ("tq-pool-fresh", "ok")


def test_the_configuration_knows_the_settings_of_plugins(project: Environment, tmp_path: Path) -> None:
    assert project.run("import tasks\nshow(tasks.app.conf.directory_poll_interval)") == 0.01
    (tmp_path / "celeryconfig.yaml").write_text("directory_poll_interval: none at all\n")
    done = replace(project, cwd=tmp_path).call("-m", "tq_core.cli.main", "worker")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "celeryconfig.yaml:1:26" in done.stderr
    assert "directory_poll_interval" in done.stderr


def test_the_worker_ends_warmly_and_leaves_no_message_held(project: Environment) -> None:
    worker = Worker(project)
    worker.wait_ready()
    project.run('import tasks\nshow(tasks.shout.delay("bye").get(timeout=60))')
    assert worker.stop() == 0, worker.text
    assert list((project.cwd / "messages" / "held").rglob("*~*")) == []


def test_what_a_killed_worker_held_is_run_by_the_next(environment: Environment, tmp_path: Path) -> None:
    project = project_in(tmp_path, environment)
    first = Worker(project)
    try:
        first.wait_ready()
        task_id = project.run(f"import tasks\nshow(tasks.wait_for.delay({str(tmp_path)!r}).id)")
        wait_until((tmp_path / "begun").exists)
    finally:
        os.killpg(first.process.pid, signal.SIGKILL)
        first.process.wait()
    (tmp_path / "go on").touch()
    second = Worker(project)
    try:
        answer = f"import tasks\nshow(tasks.app.AsyncResult({task_id!r}).get(timeout=60))"
        assert project.run(answer) is True, second.text
    finally:
        assert second.stop() == 0, second.text


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something that another process does has happened."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
