"""A task's way through a broker, a backend, a serializer and a pool of other people, chosen by YAML alone."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
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
broker_url: shelf://{directory}/messages
result_backend: shelf+oak://{directory}/results
task_serializer: rot13json
result_serializer: rot13json
accept_content: [rot13json]
worker_pool: inline
shelf_height: 5

plugins_disabled: [sample-disabled]
plugins_prefer:
  brokers.demo: sample-demo-two
"""

TASKS = """\
from tq_core import Celery

app = Celery("tasks")
app.config_from_file()


@app.task
def shout(words):
    return words.upper()


@app.task(bind=True)
def how_it_came(self):
    import threading

    return [self.request.delivery_info["routing_key"], threading.current_thread() is threading.main_thread()]


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
    directory = tmp_path_factory.mktemp("project")
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
    assert f"transport:   shelf://{project.cwd.as_posix()}/messages\n" in worker.text
    assert f"results:     shelf+oak://{project.cwd.as_posix()}/results\n" in worker.text
    assert "concurrency: 1 (inline)\n" in worker.text


def test_what_yaml_switches_off_is_not_imported(project: Environment) -> None:
    done = project.call("-c", "import sys, tasks; sys.exit('sample_disabled' in sys.modules)")
    assert "sample-disabled" not in done.stderr
    assert "plugins_prefer" not in done.stderr


def test_a_call_from_another_process_is_answered(worker: Worker, project: Environment) -> None:
    answers = project.run("""
import tasks
words = tasks.shout.delay("hello")
way = tasks.how_it_came.delay()
show([words.get(timeout=60), way.get(timeout=60)])
""")
    assert answers == ["HELLO", ["celery", True]]


def test_an_error_comes_back_as_itself(worker: Worker, project: Environment) -> None:
    assert project.run("""
import tasks
try:
    tasks.stumble.delay().get(timeout=60)
except ValueError as error:
    show(str(error))
""") == ("over a rug")


def test_a_message_waits_on_the_shelf_in_its_own_alphabet(project: Environment) -> None:
    """Nobody receives from this queue, so that the message can be looked at."""
    project.run('import tasks\ntasks.shout.apply_async(("hello",), queue="aside")\nshow(None)')
    (file,) = (project.cwd / "messages" / "queues" / "aside").iterdir()
    message = json.loads(file.read_text())
    assert message["content_type"] == "application/x-rot13-json"
    assert message["headers"]["task"] == "tasks.shout"


def test_a_result_lies_on_the_shelf_in_its_own_alphabet(worker: Worker, project: Environment) -> None:
    task_id = project.run("""
import tasks
result = tasks.shout.delay("hello")
result.get(timeout=60)
show(result.id)
""")
    assert '"erfhyg": "URYYB"' in (project.cwd / "results" / task_id).read_text()


def test_the_list_of_plugins_names_all_four(project: Environment) -> None:
    done = project.call("-m", "tq_core.cli.main", "plugins", "list", "--json")
    assert done.returncode == 0, done.stderr
    found = {(s["kind"], s["name"]): (s["distribution"], s["state"]) for s in json.loads(done.stdout)}
    assert found["brokers", "shelf"] == ("sample-broker", "ok")
    assert found["backends", "shelf"] == ("sample-backend", "ok")
    assert found["serializers", "rot13json"] == ("sample-serializer", "ok")
    assert found["pools", "inline"] == ("sample-pool", "ok")


def test_the_configuration_knows_the_settings_of_plugins(project: Environment, tmp_path: Path) -> None:
    assert project.run("import tasks\nshow(tasks.app.conf.shelf_height)") == 5
    (tmp_path / "celeryconfig.yaml").write_text("shelf_height: none at all\n")
    done = replace(project, cwd=tmp_path).call("-m", "tq_core.cli.main", "worker")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "celeryconfig.yaml:1:15" in done.stderr
    assert "shelf_height" in done.stderr


def test_the_worker_ends_warmly_and_leaves_no_message_held(project: Environment) -> None:
    worker = Worker(project)
    worker.wait_ready()
    project.run('import tasks\nshow(tasks.shout.delay("bye").get(timeout=60))')
    assert worker.stop() == 0, worker.text
    assert [file for file in (project.cwd / "messages" / "held").rglob("*") if file.is_file()] == []
