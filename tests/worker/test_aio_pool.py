"""The aio pool by its contract: cancelling, giving up, taking back; without a broker."""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tq_core import Celery
from tq_core.contracts.pool import Pool
from tq_core.errors import SoftTimeLimitExceeded, Terminated, TimeLimitExceeded
from tq_core.exception_info import format_exception
from tq_core.outcome import Failed, Outcome, Revoked, Succeeded
from tq_core.pools.aio import AioPool
from tq_core.request import Request
from tq_core.tracing import Guard, TaskPlan, trace, trace_coroutine

PATIENCE = 30.0


class Job(Guard):
    """A run of a task."""

    soft_time_limit = time_limit = None

    def __init__(self, task: Any, args: tuple[Any, ...] = ()) -> None:
        super().__init__()
        self.plan = TaskPlan(task)
        self.task_id = self.task_name = task.name
        self.is_coroutine = self.plan.is_coroutine
        self.request = Request(id=task.name, task=task.name, args=args, kwargs={}, task_object=task)


class Execution:
    """Runs jobs as a runner does."""

    def run(self, job: Job) -> Outcome:
        return trace(job.plan, job.request, job)

    async def run_coroutine(self, job: Job) -> Outcome:
        return await trace_coroutine(job.plan, job.request, job)

    def interrupted(self, job: Job, error: BaseException) -> Outcome:
        return Failed(error, format_exception(error))


class Served:
    """A pool that is served while the script runs in the place of the transport thread."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._changed = threading.Condition()
        self._outcomes: dict[Job, Outcome] = {}

    def report(self, job: Job, outcome: Outcome) -> None:
        with self._changed:
            self._outcomes[job] = outcome
            self._changed.notify_all()

    def submit(self, task: Any, *args: Any) -> Job:
        job = Job(task, args)
        self.pool.submit([job])
        return job

    def outcome(self, job: Job) -> Any:
        with self._changed:
            assert self._changed.wait_for(lambda: job in self._outcomes, PATIENCE)
            return self._outcomes[job]

    def is_reported(self, job: Job) -> bool:
        return job in self._outcomes

    def run(self, script: Callable[[Served], None]) -> None:
        self.pool.start(Execution(), self.report)
        raised: list[BaseException] = []

        def work() -> None:
            try:
                script(self)
            except BaseException as error:
                raised.append(error)
            finally:
                self.pool.stop()

        thread = threading.Thread(target=work)
        thread.start()
        self.pool.serve()
        thread.join(PATIENCE)
        if raised:
            raise raised[0]


def in_main_thread(served: Served, script: Callable[[Served], None]) -> None:
    served.run(script)


def in_another_thread(served: Served, script: Callable[[Served], None]) -> None:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            served.run(script)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


@pytest.fixture(params=[in_main_thread, in_another_thread])
def serve(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Serve a pool of some slots while a script runs, with signals and without."""
    before = signal.getsignal(signal.SIGUSR1) if hasattr(signal, "SIGUSR1") else None
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)  # as in a runner
    yield lambda slots, script: request.param(Served(AioPool(slots)), script)
    sys.setswitchinterval(interval)
    if before is not None:
        signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def app() -> Celery:
    return Celery("pool", broker="memory://", backend="memory://", set_as_current=False)


class Stage:
    """What tasks and script tell each other."""

    def __init__(self) -> None:
        self.events = [threading.Event() for _ in range(4)]
        self.heard: list[str] = []
        self.loop_events: list[Callable[[], None]] = []

    def wait(self, number: int) -> None:
        assert self.events[number].wait(PATIENCE), self.heard


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_terminated_coroutine_is_cancelled_and_its_outcome_is_revoked(app, stage, serve):
    @app.task
    async def long():
        stage.events[0].set()
        try:
            await asyncio.sleep(600)
        except Exception:
            stage.heard.append("an exception")
        except asyncio.CancelledError:
            stage.heard.append("cancelled")
            raise

    def script(served):
        job = served.submit(long)
        stage.wait(0)
        assert served.pool.cancel(job, Terminated)
        assert isinstance(served.outcome(job), Revoked)
        assert served.pool.cancel(job, Terminated) is False

    serve(2, script)
    assert stage.heard == ["cancelled"]


def test_a_cancellation_that_an_awaited_task_swallows_is_raised_once_it_has_ended(app, stage, serve):
    @app.task
    async def long():
        async def child():
            stage.events[0].set()
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                return "swallowed"

        stage.heard.append(await asyncio.ensure_future(child()))

    def script(served):
        job = served.submit(long)
        stage.wait(0)
        served.pool.cancel(job, SoftTimeLimitExceeded)
        outcome = served.outcome(job)
        assert isinstance(outcome, Failed)
        assert type(outcome.error) is SoftTimeLimitExceeded

    serve(2, script)
    assert stage.heard == []


def test_after_the_soft_limit_a_coroutine_may_await_and_is_interrupted_again(app, stage, serve):
    @app.task
    async def stubborn():
        for number in range(2):
            try:
                stage.events[number].set()
                await asyncio.sleep(600)
            except SoftTimeLimitExceeded:
                await asyncio.sleep(0)
                await asyncio.wait_for(asyncio.sleep(0), 10)
        return "ended well"

    def script(served):
        job = served.submit(stubborn)
        for number in range(2):
            stage.wait(number)
            served.pool.cancel(job, SoftTimeLimitExceeded)
        outcome = served.outcome(job)
        assert isinstance(outcome, Succeeded)
        assert outcome.value == "ended well"

    serve(2, script)


def test_the_error_of_an_interrupted_coroutine_is_its_own(app, stage, serve):
    @app.task
    async def failing():
        stage.events[0].set()
        try:
            await asyncio.sleep(600)
        finally:
            raise KeyError("while cleaning up")

    def script(served):
        job = served.submit(failing)
        stage.wait(0)
        served.pool.cancel(job, Terminated)
        assert isinstance(served.outcome(job).error, KeyError)

    serve(2, script)


def test_a_job_that_was_given_up_is_not_reported_and_its_slot_is_free(app, stage, serve):
    @app.task
    async def stubborn():
        stage.events[0].set()
        while not stage.events[1].is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                stage.heard.append("swallowed")

    @app.task
    async def next_one():
        return "next"

    def script(served):
        job = served.submit(stubborn)
        stage.wait(0)
        waiting = served.submit(next_one)
        served.pool.cancel(job, TimeLimitExceeded)
        assert served.pool.abandon(job) is True
        assert served.pool.abandon(job) is False
        assert served.outcome(waiting).value == "next"
        stage.events[1].set()
        assert served.outcome(served.submit(next_one)).value == "next"
        assert not served.is_reported(job)

    serve(1, script)


def test_what_waits_can_be_taken_back_in_order(app, stage, serve):
    @app.task
    async def first():
        stage.events[0].set()
        while not stage.events[1].is_set():
            await asyncio.sleep(0.001)

    @app.task
    def function():
        stage.heard.append("function")

    def script(served):
        running = served.submit(first)
        stage.wait(0)
        waiting = [served.submit(first) for _ in range(3)]
        assert served.pool.queued() == 3
        assert served.pool.withdraw() == waiting
        assert served.pool.withdraw() == []
        assert served.outcome(served.submit(function)).value is None
        stage.events[1].set()
        served.outcome(running)

    serve(1, script)


def test_functions_get_threads_as_they_are_needed_and_never_more_than_slots(app, stage, serve):
    @app.task
    def block():
        stage.heard.append(threading.current_thread().name)
        if len(stage.heard) == 3:
            stage.events[0].set()
        assert stage.events[1].wait(PATIENCE)

    def script(served):
        jobs = [served.submit(block) for _ in range(5)]
        stage.wait(0)
        assert served.pool.queued() == 2
        stage.events[1].set()
        for job in jobs:
            assert isinstance(served.outcome(job), Succeeded)

    serve(3, script)
    assert len(set(stage.heard)) == 3


def test_more_slots_start_what_waits(app, stage, serve):
    @app.task
    async def meet():
        stage.heard.append("here")
        while len(stage.heard) < 3:
            await asyncio.sleep(0.001)

    def script(served):
        jobs = [served.submit(meet) for _ in range(3)]
        served.pool.resize(3)
        for job in jobs:
            assert isinstance(served.outcome(job), Succeeded)

    serve(1, script)


def test_stopping_waits_for_all_jobs(app, stage, serve):
    @app.task
    async def slow(number):
        await asyncio.sleep(0.01)
        stage.heard.append(number)

    jobs: list[Job] = []

    def script(served):
        jobs.extend(served.submit(slow, n) for n in range(5))
        served.pool.stop()

    serve(2, script)
    assert sorted(stage.heard) == list(range(5))


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs POSIX signals")
def test_a_coroutine_that_computes_is_interrupted_where_the_pool_has_the_main_thread(app, stage):
    @app.task
    async def spin():
        stage.events[0].set()
        try:
            while True:
                sum(range(100))
        except SoftTimeLimitExceeded:
            return "cleaned up"

    def script(served):
        job = served.submit(spin)
        stage.wait(0)
        assert served.pool.cancel(job, SoftTimeLimitExceeded)
        assert served.outcome(job).value == "cleaned up"

    before = signal.getsignal(signal.SIGUSR1)
    try:
        in_main_thread(Served(AioPool(2)), script)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_interrupts_at_any_moment_hit_their_coroutine_or_nothing(app, stage, serve):
    @app.task
    async def busy(number):
        for _ in range(200):
            await asyncio.sleep(0)
            sum(range(500))
        return number

    outcomes: list[Any] = []

    def script(served):
        for errors in (Terminated, SoftTimeLimitExceeded) * 5:
            jobs = [Job(busy, (n,)) for n in range(40)]
            served.pool.submit(jobs)
            ended = False
            while not ended:
                ended = all(served.is_reported(job) for job in jobs)
                # Each is struck when it waits for a slot, when it computes, when it awaits, or when it has ended.
                for job in jobs[::2]:
                    served.pool.cancel(job, errors)
            for number, job in enumerate(jobs):
                outcomes.append(served.outcome(job))
                if number % 2:
                    assert outcomes[-1].value == number

    serve(10, script)
    struck = [outcome for outcome in outcomes if not isinstance(outcome, Succeeded)]
    assert struck
    for outcome in struck:
        assert isinstance(outcome, Revoked) or type(outcome.error) is SoftTimeLimitExceeded


def test_map_awaits_coroutine_tasks(app):
    @app.task
    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    @app.task
    async def power(x, y):
        return x**y

    assert double.map([1, 2, 3]).apply().get() == [2, 4, 6]
    assert power.starmap([(2, 3), (3, 2)]).apply().get() == [8, 9]
    assert functools.reduce(lambda a, b: a + b, power.chunks([(2, 1), (2, 2), (2, 3)], 2).apply().get()) == [2, 4, 8]
