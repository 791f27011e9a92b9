"""Handles of results, against the memory backend."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tq_core import Celery
from tq_core.contracts.backend import ResultRecord
from tq_core.errors import TaskRevokedError, TimeoutError
from tq_core.results.async_result import AsyncResult, result_from_tuple
from tq_core.results.group_result import GroupResult, ResultSet


@pytest.fixture
def app() -> Iterator[Celery]:
    made = Celery("handles", broker="memory://", backend="cache+memory://", set_as_current=False)
    yield made
    # The memory backend is one for the whole process.
    made.backend.forget(["a", "b", "c", "f", "r", "first", "last", "late"])
    made.close()


def _failure(task_id: str) -> ResultRecord:
    described = {"exc_type": "ZeroDivisionError", "exc_message": ["by zero"], "exc_module": "builtins"}
    return ResultRecord(task_id, "FAILURE", described, "Traceback of the worker")


def test_an_unknown_id_is_pending(app: Celery) -> None:
    result = app.AsyncResult("nobody")
    assert (result.state, result.result, result.ready()) == ("PENDING", None, False)


def test_get_gives_up_after_the_timeout(app: Celery) -> None:
    with pytest.raises(TimeoutError):
        app.AsyncResult("nobody").get(timeout=0.01)


def test_get_raises_the_original_exception_with_the_remote_traceback(app: Celery) -> None:
    app.backend.store([_failure("f")])
    with pytest.raises(ZeroDivisionError, match="by zero") as raised:
        app.AsyncResult("f").get(timeout=1)
    assert "Traceback of the worker" in str(raised.value.__cause__)


def test_get_can_return_the_exception(app: Celery) -> None:
    app.backend.store([_failure("f")])
    assert isinstance(app.AsyncResult("f").get(timeout=1, propagate=False), ZeroDivisionError)


def test_a_revoked_task_raises_that_it_was_revoked(app: Celery) -> None:
    app.backend.store([ResultRecord("r", "REVOKED", None)])
    with pytest.raises(TaskRevokedError):
        app.AsyncResult("r").get(timeout=1)


def test_a_ready_result_is_asked_for_once(app: Celery) -> None:
    app.backend.store([ResultRecord("a", "SUCCESS", 1)])
    result = app.AsyncResult("a")
    assert result.get(timeout=1) == 1
    app.backend.forget(["a"])
    assert result.get(timeout=1) == 1


def test_a_forgotten_result_is_pending(app: Celery) -> None:
    app.backend.store([ResultRecord("a", "SUCCESS", 1)])
    result = app.AsyncResult("a")
    result.forget()
    assert result.state == "PENDING"


def test_the_failure_of_an_earlier_step_is_raised(app: Celery) -> None:
    app.backend.store([_failure("first")])
    last = AsyncResult("last", app=app, parent=AsyncResult("first", app=app))
    with pytest.raises(ZeroDivisionError):
        last.get(timeout=1)


def test_on_interval_is_called_while_waiting(app: Celery) -> None:
    def store() -> None:
        app.backend.store([ResultRecord("late", "SUCCESS", 5)])

    assert app.AsyncResult("late").get(timeout=5, interval=0.01, on_interval=store) == 5


def test_results_are_equal_by_id_and_survive_copying(app: Celery) -> None:
    result = app.AsyncResult("x")
    assert result == AsyncResult("x", app=app)
    assert result == "x"
    assert str(result) == "x"
    assert repr(result) == "<AsyncResult: x>"
    assert copy.copy(result) == pickle.loads(pickle.dumps(result)) == result


def test_a_tuple_leads_back_to_the_same_results(app: Celery) -> None:
    members = [AsyncResult("a", app=app, parent=AsyncResult("p", app=app)), AsyncResult("b", app=app)]
    whole = GroupResult("g", members, parent=AsyncResult("before", app=app), app=app)
    again = result_from_tuple(whole.as_tuple(), app)
    assert again == whole
    assert again.as_tuple() == whole.as_tuple()


def test_a_group_joins_in_order_and_counts(app: Celery) -> None:
    app.backend.store([ResultRecord("b", "SUCCESS", 2), ResultRecord("a", "SUCCESS", 1)])
    whole = app.GroupResult("g", [app.AsyncResult("a"), app.AsyncResult("b")])
    assert whole.completed_count() == 2
    assert whole.successful()
    assert whole.get(timeout=1) == [1, 2]


def test_a_group_within_a_group_joins_to_a_list_within_a_list(app: Celery) -> None:
    app.backend.store([ResultRecord(name, "SUCCESS", name) for name in "abc"])
    inner = app.GroupResult("i", [app.AsyncResult("b"), app.AsyncResult("c")])
    assert app.GroupResult("g", [app.AsyncResult("a"), inner]).join(timeout=1) == ["a", ["b", "c"]]


def test_a_set_raises_the_error_of_a_member(app: Celery) -> None:
    app.backend.store([ResultRecord("a", "SUCCESS", 1), _failure("b")])
    both: Any = ResultSet([app.AsyncResult("a"), app.AsyncResult("b")], app=app)
    with pytest.raises(ZeroDivisionError):
        both.join(timeout=1)
    values = both.join(timeout=1, propagate=False)
    assert values[0] == 1
    assert isinstance(values[1], ZeroDivisionError)


def test_an_empty_set_is_joined_at_once(app: Celery) -> None:
    assert ResultSet([], app=app).join(timeout=1) == []


def test_children_are_results(app: Celery) -> None:
    app.backend.store([ResultRecord("a", "SUCCESS", 1, children=[[["b", None], None]])])
    app.backend.store([ResultRecord("b", "SUCCESS", 2)])
    result = app.AsyncResult("a")
    assert result.children == [app.AsyncResult("b")]
    assert list(result.collect()) == [(result, 1), (app.AsyncResult("b"), 2)]
    assert result.get_leaf() == 2
    assert result.build_graph() == {result: [app.AsyncResult("b")], app.AsyncResult("b"): []}


def test_a_saved_group_is_restored(app: Celery) -> None:
    whole = app.GroupResult("g", [app.AsyncResult("a")])
    whole.save()
    assert GroupResult.restore("g", app=app) == whole
    whole.delete()
    assert GroupResult.restore("g", app=app) is None


def test_then_returns_before_the_result_is_there(app: Celery) -> None:
    called = threading.Event()
    answers: list[Any] = []

    def answer(ready: Any) -> None:
        answers.append(ready.get())
        called.set()

    result = app.AsyncResult("late")
    assert result.then(answer) is result
    assert answers == []
    app.backend.store([ResultRecord("late", "SUCCESS", 5)])
    assert called.wait(10)
    assert answers == [5]


def test_then_calls_the_other_function_after_a_failure(app: Celery) -> None:
    called = threading.Event()
    wrong: list[Any] = []
    app.AsyncResult("f").then(wrong.append, on_error=lambda ready: called.set())
    app.backend.store([_failure("f")])
    assert called.wait(10)
    assert wrong == []


def test_then_of_a_set_is_called_once_all_are_there(app: Celery) -> None:
    called = threading.Event()
    app.backend.store([ResultRecord("a", "SUCCESS", 1)])
    both = ResultSet([app.AsyncResult("a"), app.AsyncResult("b")], app=app)
    both.then(lambda ready: called.set())
    app.backend.store([ResultRecord("b", "SUCCESS", 2)])
    assert called.wait(10)
    assert both.get(timeout=1) == [1, 2]


def test_a_callback_that_raises_keeps_no_other_from_being_called(app: Celery) -> None:
    called = threading.Event()

    def broken(ready: Any) -> None:
        raise ValueError("on purpose")

    app.AsyncResult("a").then(broken)
    app.AsyncResult("a").then(lambda ready: called.set())
    app.backend.store([ResultRecord("a", "SUCCESS", 1)])
    assert called.wait(10)


def test_waiting_for_many_tells_how_far_it_has_come(app: Celery, capsys: pytest.CaptureFixture[str]) -> None:
    app.backend.store([ResultRecord(name, "SUCCESS", name) for name in "abc"])
    told: list[tuple[int, int]] = []
    assert app.ResultSet([app.AsyncResult(name) for name in "abc"]).get(
        timeout=1, progress=lambda here, total: told.append((here, total))
    ) == ["a", "b", "c"]
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    app.ResultSet([app.AsyncResult(name) for name in "abc"]).get(timeout=1, progress=True)
    assert "3/3" in capsys.readouterr().err


def test_the_handles_of_a_long_chain_can_be_written_down_and_forgotten(app: Celery) -> None:
    last: Any = None
    for number in range(5000):
        last = AsyncResult(f"n{number}", app=app, parent=last)
    assert len(last.as_list()) == 5000
    assert last.as_tuple()[0][0] == "n4999"
    last.forget()


def test_all_that_is_stored_of_a_task_is_read_from_its_handle(app: Celery) -> None:
    fields = {"name": "t", "args": [1], "kwargs": {"k": 2}, "worker": "w@h", "retries": 3, "queue": "q"}
    done = "2026-11-21T02:51:22+00:00"
    app.backend.store([ResultRecord("a", "SUCCESS", 1, date_done=done, extended=fields)])
    result = app.AsyncResult("a")
    assert {name: getattr(result, name) for name in fields} == fields
    assert result.date_done.isoformat() == done
    assert result.exists()
    assert (result.status, result.info, result.failed()) == ("SUCCESS", 1, False)
