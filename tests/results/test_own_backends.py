"""Tasks with a result backend of their own."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from tq_core import Celery, Task, chain, group
from tq_core.errors import ImproperlyConfigured
from tq_core.results.async_result import AsyncResult
from tq_core.testing.worker import start_worker


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Celery]:
    (tmp_path / "all").mkdir()
    with Celery("apart", broker="memory://apart", backend=f"file://{tmp_path}/all") as app:
        yield app


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The URL of a backend that is not the application's."""
    (tmp_path / "own").mkdir()
    return f"file://{tmp_path}/own"


def _stored(directory: Path) -> str:
    return " ".join(path.name for path in directory.rglob("*") if path.is_file())


@pytest.mark.row("S089")
def test_a_task_with_a_backend_stores_there_and_others_in_the_applications(app: Celery, own: str, tmp_path: Path):
    @app.task(backend=own)
    def apart(x):
        return x * 2

    @app.task
    def among(x):
        return x * 3

    with start_worker(app):
        first, second = apart.delay(2), among.delay(2)
        assert (first.get(timeout=30), second.get(timeout=30)) == (4, 6)
    assert apart.backend is not app.backend
    assert among.backend is app.backend
    assert apart.AsyncResult(first.id).get(timeout=30) == 4
    assert pickle.loads(pickle.dumps(first)).get(timeout=30) == 4
    assert not AsyncResult(first.id).ready()
    assert (first.id in _stored(tmp_path / "own"), first.id in _stored(tmp_path / "all")) == (True, False)
    assert (second.id in _stored(tmp_path / "own"), second.id in _stored(tmp_path / "all")) == (False, True)
    first.forget()
    assert first.id not in _stored(tmp_path / "own")


def test_a_class_an_annotation_and_an_assignment_give_a_backend(app: Celery, own: str):
    class Apart(Task):
        backend = own

    app.conf.task_annotations = {"annotated": {"backend": own}}
    of_class = app.task(lambda: None, name="of_class", base=Apart)
    annotated = app.task(lambda: None, name="annotated")
    assigned = app.task(lambda: None, name="assigned")
    assert assigned.backend is app.backend
    assigned.backend = own
    app.finalize()
    assert of_class.backend is annotated.backend is assigned.backend is not app.backend
    assigned.backend = None
    assert assigned.backend is app.backend


def test_states_of_a_run_and_failures_are_where_the_value_would_be(app: Celery, own: str, tmp_path: Path):
    seen = []

    @app.task(bind=True, backend=own, track_started=True, max_retries=1)
    def apart(self):
        self.update_state(state="PROGRESS", meta={"done": 1})
        seen.append(self.AsyncResult(self.request.id).info)
        raise self.retry(countdown=0, exc=KeyError("gone"))

    with start_worker(app):
        result = apart.delay()
        with pytest.raises(KeyError):
            result.get(timeout=30)
    assert seen == [{"done": 1}, {"done": 1}]
    assert result.state == "FAILURE"
    assert result.id not in _stored(tmp_path / "all")


def test_who_waits_for_a_step_that_never_runs_hears_why(app: Celery, own: str):
    @app.task
    def fail():
        raise ValueError("the first step")

    @app.task(backend=own)
    def apart(x):
        return x

    with start_worker(app):
        last = chain(fail.s(), apart.s()).delay()
        with pytest.raises(ValueError, match="the first step"):
            last.get(timeout=30)
        # It is the record of the last step that says so, not only the one of the first.
        assert last.state == "FAILURE"


def test_a_group_over_several_backends_is_refused_where_it_is_waited_for_as_one(app: Celery, own: str):
    @app.task(backend=own)
    def apart(x):
        return x

    @app.task
    def among(x):
        return x

    with start_worker(app):
        together = group(apart.s(1), apart.s(2)).delay()
        assert together.get(timeout=30) == [1, 2]
        mixed = group(apart.s(1), among.s(2)).delay()
        with pytest.raises(ImproperlyConfigured, match="in several backends"):
            mixed.get(timeout=30)
        assert [result.get(timeout=30) for result in mixed] == [1, 2]


def test_a_backend_that_answers_the_caller_cannot_be_one_tasks():
    app = Celery("replies", broker="amqp://localhost:1//", backend="disabled://", set_as_current=False)
    task = app.task(lambda: None, name="replying", backend="rpc://")
    with pytest.raises(ImproperlyConfigured, match="cannot be the backend of a single task"):
        _ = task.backend
