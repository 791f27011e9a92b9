"""Tasks and work-flows run in the caller's own process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tq_core import Celery, chain, chord, group
from tq_core.errors import BackendError, EncodeError


@pytest.fixture
def app() -> Iterator[Celery]:
    made = Celery("eager", broker="memory://", set_as_current=False)
    yield made
    made.close()


@pytest.fixture
def add(app: Celery) -> Any:
    return app.task(lambda x, y: x + y, name="add")


@pytest.fixture
def tsum(app: Celery) -> Any:
    return app.task(sum, name="tsum")


def test_apply_returns_a_ready_result(add: Any) -> None:
    result = add.apply((1, 2))
    assert result.ready()
    assert result.state == "SUCCESS"
    assert result.get() == 3


def test_an_error_is_raised_by_get_as_it_was(add: Any) -> None:
    result = add.apply((1, "x"))
    assert result.failed()
    assert isinstance(result.get(propagate=False), TypeError)
    with pytest.raises(TypeError):
        result.get()


def test_throw_raises_at_once(add: Any) -> None:
    with pytest.raises(TypeError):
        add.apply((1, "x"), throw=True)


def test_a_retry_runs_again_at_once(app: Celery) -> None:
    attempts: list[int] = []

    @app.task(bind=True, max_retries=5)
    def stubborn(self: Any) -> str:
        attempts.append(self.request.retries)
        if self.request.retries < 3:
            raise self.retry(countdown=3600)
        return "done"

    assert stubborn.apply().get() == "done"
    assert attempts == [0, 1, 2, 3]


def test_waiting_inside_an_eager_task_is_allowed(app: Celery, add: Any) -> None:
    @app.task
    def outer() -> Any:
        return add.apply((1, 1)).get()

    assert outer.apply().get() == 2


def test_links_run_with_the_result(app: Celery, add: Any) -> None:
    seen: list[Any] = []
    note = app.task(seen.append, name="note")
    add.apply((1, 2), link=note.s())
    assert seen == [3]


def test_an_errback_of_three_arguments_gets_request_error_and_traceback(app: Celery, add: Any) -> None:
    seen: list[Any] = []
    errback = app.task(lambda request, error, traceback: seen.append((request.id, type(error))), name="rich")
    result = add.apply((1, "x"), link_error=errback.s())
    assert seen == [(result.id, TypeError)]


def test_an_errback_of_one_argument_gets_the_id(app: Celery, add: Any) -> None:
    seen: list[Any] = []
    errback = app.task(lambda task_id: seen.append(str(task_id)), name="plain")
    result = add.apply((1, "x"), link_error=errback.s())
    assert seen == [result.id]


@pytest.mark.parametrize("always", [True, False], ids=["always-eager", "apply"])
def test_canvases_run_whole(app: Celery, add: Any, tsum: Any, always: bool) -> None:
    app.conf.task_always_eager = always

    def run(canvas: Any) -> Any:
        return (canvas.apply_async() if always else canvas.apply()).get()

    assert run(chain(add.s(1, 2), add.s(3))) == 6
    assert run(group(add.s(1, 2), add.s(3, 4))) == [3, 7]
    assert run(chord([add.s(1, 2), add.s(3, 4)], tsum.s())) == 10
    assert run(add.s(1, 1) | group(add.s(1), add.s(2)) | tsum.s() | add.s(100)) == 107


def test_always_eager_refuses_what_a_message_could_not_carry(app: Celery, add: Any) -> None:
    app.conf.task_always_eager = True
    with pytest.raises(EncodeError):
        add.delay(object(), 1)


def test_without_a_backend_the_error_names_the_setting(app: Celery) -> None:
    app.conf.result_backend = "disabled://"
    with pytest.raises(BackendError, match="result_backend"):
        app.AsyncResult("some-id").get(timeout=1)


def test_an_eager_result_tells_all_that_others_tell(app: Celery, add: Any) -> None:
    result = add.apply((1, 2))
    assert (result.name, result.info, result.status, result.successful()) == ("add", 3, "SUCCESS", True)
    assert result.date_done is not None
    assert result.get_leaf() == 3
    called: list[Any] = []
    assert result.then(called.append) is result
    assert called == [result]


def test_the_error_of_an_eager_result_has_no_other_cause(app: Celery, add: Any) -> None:
    with pytest.raises(TypeError) as raised:
        add.apply((1, "x")).get()
    assert raised.value.__cause__ is None
