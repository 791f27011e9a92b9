"""Running what waits in the test's own thread, as a worker would."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tq_core import chain, chord, group, signals
from tq_core.errors import EncodeError, NotRegistered, Reject
from tq_core.testing.drain import TooManyRuns


def test_tasks_run_in_this_thread_with_what_survives_the_serializer(tq_app, run_pending):
    @tq_app.task(bind=True)
    def look(self, pair):
        return [threading.get_ident(), type(pair).__name__, self.request.is_eager]

    result = look.delay((1, 2))
    run_pending()
    assert result.get() == [threading.get_ident(), "list", False]


def test_what_the_serializer_cannot_write_fails_at_the_call(tq_app, enqueued):
    @tq_app.task
    def take(thing):
        raise AssertionError("must not run")

    with pytest.raises(EncodeError):
        take.delay(object())
    with pytest.raises(EncodeError):
        take.apply_async(kwargs={"thing": lambda: None})
    assert enqueued() == []


def test_a_result_that_the_serializer_cannot_write_fails_the_task(tq_app, drain):
    @tq_app.task
    def make():
        return object()

    result = make.delay()
    drain()
    assert result.state == "FAILURE"


def test_canvas_runs_to_its_end(tq_app, run_pending):
    @tq_app.task
    def add(x, y):
        return x + y

    @tq_app.task
    def total(numbers):
        return sum(numbers)

    chained = chain(add.s(1, 1), add.s(10), add.s(100))()
    grouped = group(add.s(n, n) for n in range(3))()
    body = chord([add.s(n, 1) for n in range(4)], total.s())()
    linked = add.apply_async((1, 2), link=add.s(7))
    run_pending()
    assert chained.get() == 112
    assert grouped.get() == [0, 2, 4]
    assert body.get() == 10
    assert linked.children[0].get() == 10


def test_tasks_that_tasks_send_run_too_wherever_they_go(tq_app, run_pending):
    @tq_app.task
    def down(number):
        if number:
            down.apply_async((number - 1,), queue=f"level-{number}")

    down.delay(3)
    assert [run.args[0] for run in run_pending()] == [3, 2, 1, 0]


def test_the_first_failure_is_raised_after_everything_has_run(tq_app, run_pending):
    ran = []

    @tq_app.task
    def fail(text):
        raise ValueError(text)

    @tq_app.task
    def note(*ignored):
        ran.append("note")

    fail.apply_async(("first",), link_error=note.si())
    second = fail.delay("second")
    note.delay()
    with pytest.raises(ValueError, match="first"):
        run_pending()
    assert ran == ["note", "note"]
    assert second.state == "FAILURE"


def test_failures_are_returned_when_they_are_not_to_be_raised(tq_app, run_pending):
    @tq_app.task
    def fail():
        raise ValueError("no")

    fail.delay()
    (run,) = run_pending(propagate=False)
    assert run.state == "FAILURE"
    assert isinstance(run.result, ValueError)


def test_an_unknown_task_is_a_failure(tq_app, run_pending):
    tq_app.send_task("nobody.knows", (1,))
    with pytest.raises(NotRegistered):
        run_pending()
    (letter,) = tq_app.broker.dead_letters()
    assert "nobody.knows" in letter.reason


def test_a_rejected_task_is_none(tq_app, run_pending):
    @tq_app.task
    def refuse():
        raise Reject("not today")

    refuse.delay()
    (run,) = run_pending()
    assert run.state == "REJECTED"


def test_a_task_that_enqueues_itself_is_stopped(tq_app, drain, enqueued):
    @tq_app.task(name="forever")
    def forever():
        ran.append(None)
        forever.apply_async(countdown=3600)

    ran: list[None] = []
    forever.delay()
    with pytest.raises(TooManyRuns, match=r"20 tasks have run .* forever"):
        drain(limit=20)
    assert len(ran) == 20
    assert len(enqueued()) == 1


def test_signals_and_handlers_are_called(tq_app, run_pending):
    seen = []

    @tq_app.task
    def add(x, y):
        return x + y

    def on_success(sender, result, **ignored):
        seen.append((sender.name, result))

    signals.task_success.connect(on_success)
    try:
        add.delay(1, 2)
        run_pending()
    finally:
        signals.task_success.disconnect(on_success)
    assert seen == [(add.name, 3)]


def test_coroutines_run_outside_and_inside_of_an_event_loop(tq_app, run_pending):
    @tq_app.task
    async def double(number):
        await asyncio.sleep(0)
        return 2 * number

    async def test():
        double.delay(2)
        return [run.result for run in run_pending()]

    double.delay(1)
    assert [run.result for run in run_pending()] == [2]
    assert asyncio.run(test()) == [4]


def test_an_error_inside_of_an_event_loop_is_raised_there(tq_app, run_pending):
    @tq_app.task
    async def fail():
        raise ValueError("inside")

    async def test():
        fail.delay()
        with pytest.raises(ValueError, match="inside"):
            run_pending()

    asyncio.run(test())


def test_no_thread_is_left(tq_app, run_pending):
    @tq_app.task(soft_time_limit=60, time_limit=90)
    def limited():
        return threading.active_count()

    before = threading.active_count()
    limited.delay()
    (run,) = run_pending()
    assert run.result == before
    assert threading.active_count() == before
