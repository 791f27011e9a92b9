"""Assertions about what is enqueued: what they find, and what they say when they do not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tq_core import Celery


@pytest.fixture
def add(tq_app: Celery) -> Any:
    @tq_app.task(name="math.add")
    def add(x: Any, y: Any = 0) -> Any:
        return x + y

    return add


def test_a_call_is_found_by_what_was_given(add, assert_enqueued):
    add.apply_async((1, (2, 3)), queue="sums", countdown=60, priority=5, task_id="one")
    (call,) = assert_enqueued(
        add, args=(1, [2, 3]), kwargs={}, queue="sums", countdown=60, priority=5, retries=0, id="one", count=1
    )
    assert (call.task, call.id, call.queue, list(call.args)) == ("math.add", "one", "sums", [1, [2, 3]])
    assert call.headers["task"] == "math.add"
    assert assert_enqueued("math.add") == assert_enqueued() == [call]


@pytest.mark.parametrize(
    "different",
    [
        {"args": (1, 3)},
        {"args": (1, 2, 3)},
        {"args": ()},
        {"kwargs": {"y": 2}},
        {"queue": "other"},
        {"countdown": 61},
        {"countdown": 59},
        {"countdown": None},
        {"eta": None},
        {"priority": 1},
        {"retries": 1},
        {"id": "two"},
        {"count": 2},
    ],
    ids=str,
)
def test_a_call_that_differs_in_one_thing_is_not_meant(add, tq_clock, assert_enqueued, refute_enqueued, different):
    add.apply_async((1, 2), queue="sums", countdown=60, priority=5, task_id="one")
    with pytest.raises(AssertionError, match=r"math\.add\(1, 2\)"):
        assert_enqueued(add, **different)
    if "count" not in different:
        refute_enqueued(add, **different)


def test_another_task_is_not_meant(tq_app, add, assert_enqueued, refute_enqueued):
    tq_app.send_task("elsewhere.task", (1,))
    assert_enqueued("elsewhere.task", args=[1])
    refute_enqueued(add)


def test_the_failure_shows_what_is_there_instead(add, tq_clock, assert_enqueued):
    tq_clock.travel_to("2027-01-01T00:00:00Z")
    add.apply_async((1,), {"y": 3}, expires=90)
    add.apply_async(("a", "b"), queue="words", countdown=3600)
    with pytest.raises(AssertionError) as failure:
        assert_enqueued(add, args=(1, 2), queue="celery")
    assert str(failure.value).splitlines() == [
        "expected at least 1 enqueued call of math.add with args=(1, 2), queue='celery', found 0",
        "enqueued, but different:",
        "  math.add(1, y=3)  [queue celery, expires in 90 s]",
        "  math.add('a', 'b')  [queue words, due in 3600 s (2027-01-01T01:00:00+00:00)]",
    ]


def test_the_failure_of_an_empty_queue_says_so(add, assert_enqueued):
    with pytest.raises(AssertionError, match="enqueued, but different: nothing"):
        assert_enqueued(add)


def test_too_many_calls_are_shown(add, assert_enqueued):
    for number in range(25):
        add.delay(number)
    with pytest.raises(AssertionError, match=r"expected 1 enqueued call of math\.add, found 25\nmatching:") as failure:
        assert_enqueued(add, count=1)
    assert "math.add(19)" in str(failure.value)
    assert str(failure.value).endswith("\n  … and 5 more\nenqueued, but different: nothing")


def test_a_refuted_call_is_shown(add, refute_enqueued):
    add.delay(1)
    refute_enqueued(add, args=(2,))
    with pytest.raises(AssertionError, match=r"found 1\nfound:\n  math\.add\(1\)"):
        refute_enqueued(add)


def test_a_misspelt_argument_is_no_silent_success(add, refute_enqueued):
    with pytest.raises(TypeError, match="arguments"):
        refute_enqueued(add, arguments=(1,))


def test_in_real_time_a_countdown_may_have_shrunk_a_little(add, assert_enqueued, refute_enqueued):
    add.apply_async((1,), countdown=timedelta(hours=1))
    assert_enqueued(add, countdown=timedelta(hours=1))
    refute_enqueued(add, countdown=7200)
    refute_enqueued(add, countdown=60)


def test_an_absolute_time_is_compared_in_any_zone(add, assert_enqueued, refute_enqueued):
    due = datetime(2040, 5, 1, 12, tzinfo=timezone.utc)
    add.apply_async((1,), eta=due)
    assert_enqueued(add, eta=due.astimezone(timezone(timedelta(hours=5))))
    refute_enqueued(add, eta=due + timedelta(seconds=1))


def test_what_waits_is_listed_in_order_and_gone_once_it_ran(add, tq_clock, enqueued, run_pending):
    add.apply_async((3,), countdown=20)
    add.apply_async((2,), countdown=10)
    add.delay(1)
    assert [call.args[0] for call in enqueued()] == [1, 2, 3]
    assert [call.countdown for call in enqueued()] == [None, 10, 20]
    run_pending()
    assert [call.args[0] for call in enqueued()] == [2, 3]


def test_a_message_that_cannot_be_read_is_listed_as_such(tq_app, enqueued):
    tq_app.conf.accept_content = ["yaml"]
    tq_app.send_task("math.add", (1,), serializer="json")
    (call,) = enqueued()
    assert call.defect is not None
    assert "unreadable" in str(call)
