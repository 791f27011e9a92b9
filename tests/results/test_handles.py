"""Handles of results, against the memory backend."""

from __future__ import annotations

import copy
import pickle
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
