"""A worker in threads of the test's own process."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tq_core import Celery, get_current_app, shared_task
from tq_core.errors import SoftTimeLimitExceeded
from tq_core.testing.worker import start_worker

#: Seconds after which a test gives up; never waited for when all is well.
PATIENCE = 30.0


def assert_only(threads: set[threading.Thread]) -> None:
    """Fail if there are other threads than these, or such as end now."""
    for thread in set(threading.enumerate()) - threads:
        thread.join(PATIENCE / 10)
    assert set(threading.enumerate()) <= threads


def test_it_leaves_no_thread_also_when_tasks_had_limits(tq_app):
    before = set(threading.enumerate())

    @tq_app.task(soft_time_limit=60, time_limit=90)
    def limited():
        return "done"

    with start_worker(tq_app, concurrency=3):
        assert limited.delay().get(timeout=PATIENCE) == "done"
    assert_only(before)


@pytest.mark.parametrize("pool", ["threads", "solo", "aio"])
def test_a_task_that_does_not_end_is_named_interrupted_and_leaves_no_thread(tq_app, pool):
    before = set(threading.enumerate())
    running = threading.Event()

    @tq_app.task(name="never.ends")
    def spin_for_ever():
        running.set()
        while True:
            pass

    def leave():
        with start_worker(tq_app, pool=pool, shutdown_timeout=0.2):
            result.append(spin_for_ever.delay())
            assert running.wait(PATIENCE)

    result: list[Any] = []
    with pytest.raises(TimeoutError, match=r"still ran\nnever\.ends\[(?s:.*)in spin_for_ever"):
        leave()
    assert result[0].state == "REVOKED"
    assert_only(before)


def test_a_task_in_a_call_that_does_not_return_is_named_and_the_test_goes_on(tq_app):
    running, release = threading.Event(), threading.Event()

    @tq_app.task(name="quick")
    def quick():
        return "done"

    @tq_app.task(name="stuck.deep")
    def wait_for_ever():
        running.set()
        release.wait()

    def leave():
        with start_worker(tq_app, shutdown_timeout=0.2):
            assert quick.delay().get(timeout=PATIENCE) == "done"
            wait_for_ever.delay()
            assert running.wait(PATIENCE)

    try:
        with pytest.raises(
            TimeoutError, match=r"stuck\.deep(?s:.*)release\.wait(?s:.*)cannot be interrupted"
        ) as failure:
            leave()
        assert "quick" not in str(failure.value)
    finally:
        release.set()


@pytest.mark.parametrize("pool", ["threads", "solo", "aio"])
@pytest.mark.parametrize("awaiting", [True, False])
def test_a_coroutine_that_does_not_end_is_named_interrupted_and_leaves_no_thread(tq_app, pool, awaiting):
    before = set(threading.enumerate())
    running = threading.Event()

    @tq_app.task(name="never.ends")
    async def wait_for_ever():
        running.set()
        while awaiting:
            await asyncio.sleep(3600)
        while True:
            pass

    def leave():
        with start_worker(tq_app, pool=pool, shutdown_timeout=0.2):
            result.append(wait_for_ever.delay())
            assert running.wait(PATIENCE)

    result: list[Any] = []
    place = "a coroutine that awaited" if awaiting else "in wait_for_ever"
    with pytest.raises(TimeoutError, match=rf"still ran\nnever\.ends\[(?s:.*){place}"):
        leave()
    assert result[0].state == "REVOKED"
    assert_only(before)


def test_join_waits_for_everything(tq_app):
    done = []
    gate = threading.Event()

    @tq_app.task
    def step(number):
        assert gate.wait(PATIENCE)
        if number:
            step.delay(number - 1)
        done.append(number)

    with start_worker(tq_app) as worker:
        step.delay(3)
        with pytest.raises(TimeoutError, match=r"celery \(0 ready, 0 not due, 1 running\)"):
            worker.join(timeout=0.1)
        gate.set()
        worker.join(PATIENCE)
        assert done == [3, 2, 1, 0]


def test_soft_time_limits_hold(tq_app):
    @tq_app.task(soft_time_limit=0.1)
    def slow():
        try:
            while True:
                pass
        except SoftTimeLimitExceeded:
            return "stopped"

    with start_worker(tq_app):
        assert slow.delay().get(timeout=PATIENCE) == "stopped"


def test_only_the_queues_that_were_named_are_served(tq_app):
    @tq_app.task
    def add(x, y):
        return x + y

    with start_worker(tq_app, queues=["mine"]) as worker:
        assert worker.queues == ("mine",)
        other = add.delay(1, 1)
        assert add.apply_async((1, 2), queue="mine").get(timeout=PATIENCE) == 3
        assert other.state == "PENDING"


def test_the_threads_of_tasks_find_the_application_of_the_worker():
    @shared_task
    def whose():
        return get_current_app().main

    with Celery("mine", broker="memory://mine", backend="memory://mine", set_as_current=False) as app:
        outer = get_current_app()
        with start_worker(app):
            assert app.send_task(whose.name).get(timeout=PATIENCE) == "mine"
        assert get_current_app() is outer
