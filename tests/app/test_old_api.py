"""Programs written for Celery's first years: tasks without an application, classes that register themselves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tq_core import Celery, Task, errors, states
from tq_core.canvas import subtask
from tq_core.exception_info import ExceptionInfo
from tq_core.old_api import BaseTask, TaskSet, TaskType
from tq_core.old_api import Task as OldTask
from tq_core.old_api import task as old_task
from tq_core.testing.worker import start_worker


@old_task
def add(x, y):
    return x + y


@old_task()
def subtract(x, y):
    return x - y


@old_task(serializer="yaml", name="old.multiply")
def multiply(x, y):
    return x * y


class Feed(OldTask):
    """Counts in its own process."""

    made = 0

    def __init__(self):
        type(self).made += 1
        self.runs = 0

    def run(self, url, callback=None):
        self.runs += 1
        if callback is not None:
            subtask(callback).delay(url)
        return [url, self.runs]


class Base(OldTask):
    abstract = True


@pytest.fixture
def app(request):
    with Celery("old", broker=f"memory://{request.node.name}", backend=f"memory://{request.node.name}") as app:
        app.conf.accept_content = ["json", "yaml"]
        yield app


@pytest.mark.row("S060", "S061")
def test_a_task_needs_no_application(app):
    with start_worker(app):
        assert add.delay(4, 4).get(timeout=30) == 8
        assert subtract.delay(4, 4).get(timeout=30) == 0
        assert multiply.delay(4, 4).get(timeout=30) == 16
    assert multiply.serializer == "yaml"
    assert add(1, 1) == 2


PROGRAM = """
from tq_core.old_api import task

@task
def add(x, y):
    return x + y

if __name__ == "__main__":
    import program
    result = program.add.delay(4, 4)
    print(result.backend.__class__.__module__, program.add.app.conf.task_default_queue)
"""


@pytest.mark.row("S060")
def test_a_program_without_an_application_is_set_up_by_its_celeryconfig(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "celeryconfig.py").write_text(
        "BROKER_URL = 'memory://'\nCELERY_RESULT_BACKEND = 'memory://'\nCELERY_DEFAULT_QUEUE = 'oldest'\n"
    )
    command = [sys.executable, "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "tq_core.backends.memory oldest", done.stderr


@pytest.mark.row("S069", "S070", "S071", "S073", "S074")
def test_a_class_registers_itself_and_is_made_once(app):
    name = f"{__name__}.Feed"
    assert name in app.tasks
    assert f"{__name__}.Base" not in app.tasks
    assert type(OldTask).__name__ == type(Feed).__name__ == TaskType.__name__ == "TaskType"
    assert issubclass(type(app.tasks[name]), Task)
    assert BaseTask is OldTask
    made = Feed.made
    with start_worker(app):
        assert Feed.delay("http://a").get(timeout=30) == ["http://a", 1]
        assert Feed.apply_async(("http://b",)).get(timeout=30) == ["http://b", 2]
        assert app.tasks[name].delay("http://c").get(timeout=30) == ["http://c", 3]
    assert Feed.made == made
    assert Feed().delay is not None


@pytest.mark.row("S170", "S174")
def test_subtasks_and_task_sets(app):
    again = subtask(dict(subtask(add, (2, 2), countdown=0)))
    with start_worker(app):
        assert again.delay().get(timeout=30) == 4
        assert TaskSet([add.subtask((n, n)) for n in range(3)]).apply_async().join(timeout=30) == [0, 2, 4]


@pytest.mark.row("S130", "S134", "S135", "S147", "S156")
def test_the_old_names_are_those_of_today():
    assert errors.RetryTaskError is errors.Retry
    assert errors.MaxRetriesExceeded is errors.MaxRetriesExceededError
    assert issubclass(errors.NotRegistered, KeyError)
    assert states.FAILURE_STATES == states.EXCEPTION_STATES >= {states.FAILURE, states.RETRY}
    assert {states.SUCCESS, states.FAILURE, states.REVOKED} <= states.READY_STATES
    assert {states.FAILURE, states.REVOKED} == states.PROPAGATE_STATES
    assert "ValueError: shown" in str(ExceptionInfo(ValueError("shown")))
