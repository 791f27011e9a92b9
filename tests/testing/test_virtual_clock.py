"""A virtual clock: what is due, expires or is forgotten goes by it, and the machine's time is back afterwards."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tq_core import Celery, clock
from tq_core.testing.drain import Drain
from tq_core.testing.virtual_clock import VirtualClock, virtual_time

HOUR = 3600
#: Seconds after which a test gives up; never waited for when all is well.
PATIENCE = 40.0


@pytest.fixture
def stamp(tq_app: Celery, tq_clock: VirtualClock) -> Any:
    """A task that returns its argument and when it ran, in seconds since the test began."""
    began = tq_clock.now()

    @tq_app.task
    def stamp(name: str) -> list[Any]:
        return [name, tq_clock.now() - began]

    return stamp


def test_it_stands_still_until_it_is_moved(tq_clock):
    moment = tq_clock.moment
    assert abs(moment - datetime.now(timezone.utc)) < timedelta(minutes=5)
    assert clock.now() == tq_clock.now() == moment.timestamp()
    assert tq_clock.advance(90) == moment + timedelta(seconds=90)
    assert tq_clock.advance(timedelta(hours=1)) == moment + timedelta(seconds=3690)
    assert clock.now() == moment.timestamp() + 3690


@pytest.mark.parametrize(
    "moment",
    [datetime(2027, 3, 1, 12, tzinfo=timezone.utc), datetime(2027, 3, 1, 12), 1803902400, "2027-03-01T13:00:00+01:00"],
)
def test_it_travels_to_any_time_and_life_spans_only_grow(tq_clock, moment):
    tq_clock.travel_to("2030-01-01")
    lived = clock.monotonic()
    assert tq_clock.travel_to(moment) == datetime(2027, 3, 1, 12, tzinfo=timezone.utc)
    assert clock.monotonic() == lived


def test_time_does_not_pass_backwards(tq_clock):
    with pytest.raises(ValueError, match="travel_to"):
        tq_clock.advance(-1)


def test_the_machine_tells_the_time_again_afterwards():
    with virtual_time() as outer:
        outer.travel_to("1999-01-01")
        with virtual_time() as inner:
            inner.travel_to("2001-01-01")
        assert clock.now() == outer.now()
    assert abs(clock.now() - time.time()) < HOUR
    assert clock.idle is clock.stand_by


def test_what_is_not_due_waits_for_its_time(stamp, tq_clock, run_pending):
    result = stamp.apply_async(("later",), countdown=HOUR)
    tq_clock.advance(HOUR - 1)
    assert run_pending() == []
    tq_clock.advance(1)
    run_pending()
    assert result.get() == ["later", HOUR]


def test_tasks_run_in_the_order_in_which_they_are_due_whatever_their_queues(stamp, drain):
    for queue, seconds in (("a", 3 * HOUR), ("b", HOUR), ("a", 2 * HOUR), ("c", 4 * HOUR), ("b", 0.5)):
        stamp.apply_async((queue,), countdown=seconds, queue=queue)
    stamp.delay("now")
    assert [run.result for run in drain()] == [
        *(["now", 0], ["b", 0.5], ["b", HOUR]),
        *(["a", 2 * HOUR], ["a", 3 * HOUR], ["c", 4 * HOUR]),
    ]


def test_a_message_whose_sender_left_the_waiting_to_workers_waits_too(tq_app, stamp, tq_clock, drain, run_pending):
    stamp.apply_async(("later",), countdown=HOUR)
    (delivery,) = tq_app.broker.peek("celery")
    tq_app.broker.purge("celery")
    tq_app.broker.publish([replace(delivery.message, due=None)])
    assert run_pending() == []
    assert tq_app.broker.depth("celery").parked == 1
    assert [run.result for run in drain()] == [["later", HOUR]]


def test_a_task_that_expires_before_it_is_due_is_revoked(stamp, drain):
    expired = stamp.apply_async(("expired",), countdown=2 * HOUR, expires=HOUR)
    in_time = stamp.apply_async(("in time",), countdown=HOUR, expires=2 * HOUR)
    assert [run.state for run in drain()] == ["SUCCESS", "REVOKED"]
    assert (in_time.state, expired.state) == ("SUCCESS", "REVOKED")


def test_a_task_that_expires_while_it_waits_is_revoked(stamp, tq_clock, run_pending):
    result = stamp.apply_async(("too late",), expires=tq_clock.moment + timedelta(hours=1))
    tq_clock.advance(HOUR + 1)
    run_pending()
    assert result.state == "REVOKED"


@pytest.mark.tq(result_expires=HOUR)
def test_results_are_forgotten_in_virtual_time(tq_app, stamp, tq_clock, drain):
    result = stamp.delay("kept")
    drain()
    assert datetime.fromisoformat(result.date_done.isoformat()) == tq_clock.moment
    tq_clock.advance(HOUR - 1)
    assert tq_app.AsyncResult(result.id).state == "SUCCESS"
    tq_clock.advance(1)
    assert tq_app.AsyncResult(result.id).state == "PENDING"


def test_locks_of_the_backend_run_out_in_virtual_time(tq_app, tq_clock):
    coordination = tq_app.backend.coordination()
    assert coordination.acquire("nightly", "one", ttl=HOUR) is not None
    tq_clock.advance(HOUR - 1)
    assert coordination.acquire("nightly", "two", ttl=HOUR) is None
    tq_clock.advance(1)
    assert coordination.acquire("nightly", "two", ttl=HOUR) is not None


def test_ten_retries_with_growing_back_off_take_their_time_and_no_time(tq_app, tq_clock, drain):
    began = tq_clock.now()
    starts = []

    @tq_app.task(
        autoretry_for=(OSError,), max_retries=10, retry_backoff=HOUR, retry_backoff_max=10**9, retry_jitter=False
    )
    def download() -> str:
        starts.append(tq_clock.now() - began)
        if len(starts) <= 10:
            raise OSError("unreachable")
        return "done"

    result = download.delay()
    runs = drain()
    assert result.get() == "done"
    assert starts == [HOUR * (2**n - 1) for n in range(11)]
    assert [run.state for run in runs] == ["RETRY"] * 10 + ["SUCCESS"]


def test_a_clock_that_does_not_jump_leaves_what_is_not_due(tq_app, stamp, tq_clock):
    stamp.apply_async(("later",), countdown=HOUR)
    began = tq_clock.now()
    assert Drain(tq_app).run() == []
    assert tq_clock.now() == began
    assert tq_app.broker.depth("celery").parked == 1


def test_a_worker_runs_what_became_due_when_the_clock_was_moved(stamp, tq_clock, tq_worker):
    tq_clock.jumps = False
    result = stamp.apply_async(("moved",), countdown=HOUR)
    assert stamp.delay("first").get(timeout=PATIENCE) == ["first", 0]
    assert result.state == "PENDING"
    tq_clock.advance(HOUR)
    assert result.get(timeout=PATIENCE) == ["moved", HOUR]


def test_a_worker_with_nothing_else_to_do_jumps_to_the_next_due_time(stamp, tq_worker):
    later = stamp.apply_async(("later",), countdown=20 * HOUR)
    assert later.get(timeout=PATIENCE) == ["later", 20 * HOUR]


@pytest.mark.parametrize("move", ["advance", "travel_to"])
def test_who_waits_for_a_message_is_woken_when_the_clock_is_moved(stamp, tq_app, tq_clock, move):
    consumer = tq_app.broker.consumer(["celery"], consumer_id="waiting")
    received: list[Any] = []
    waiting = threading.Thread(target=lambda: received.extend(consumer.receive(1, PATIENCE)))
    waiting.start()
    stamp.apply_async(("later",), countdown=HOUR)
    waiting.join(0.1)  # it is there by now; if not, the test proves less
    assert received == []
    getattr(tq_clock, move)(HOUR if move == "advance" else tq_clock.now() + HOUR)
    waiting.join(PATIENCE / 2)
    assert len(received) == 1
    consumer.close()


class TestWithTwoSlots:
    """A worker that can look for more while a task runs."""

    @pytest.fixture
    def tq_worker_options(self):
        return {"concurrency": 2}

    def test_the_clock_does_not_jump_while_a_task_runs(self, tq_app, tq_clock, tq_worker, stamp):
        began = tq_clock.now()
        passed = threading.Semaphore(0)

        @tq_app.task
        def pass_by():
            passed.release()

        @tq_app.task
        def keep_busy():
            stamp.apply_async(("later",), countdown=HOUR)
            for _ in range(20):
                # Each time the other slot is free again, the worker finds nothing but what is not due.
                pass_by.delay()
                assert passed.acquire(timeout=PATIENCE)
            return tq_clock.now() - began

        assert keep_busy.delay().get(timeout=PATIENCE) == 0
        tq_worker.join()
        assert tq_clock.now() == began + HOUR
