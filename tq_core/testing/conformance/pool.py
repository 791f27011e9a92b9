"""The pool contract as tests. Subclass :class:`PoolConformance` and override ``address`` or ``pool_class``."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from tq_core.contracts.pool import Pool
from tq_core.errors import SoftTimeLimitExceeded, Terminated
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.patience import PATIENCE, Thread, until
from tq_core.testing.conformance.promises import Conformance, promise

#: An outcome: what happened (``done``, ``raised`` or ``interrupted``) and the value or the error.
Outcome = tuple[str, Any]


class KitJob:
    """A job that calls a function."""

    soft_time_limit: float | None = None
    time_limit: float | None = None
    throw: Callable[[type[BaseException]], None] | None = None

    def __init__(self, task_id: str, function: Callable[[], Any], is_coroutine: bool = False) -> None:
        self.task_id = task_id
        self.function = function
        self.is_coroutine = is_coroutine
        self.interruptible = False

    def __repr__(self) -> str:
        return f"<job {self.task_id}>"


class KitExecution:
    """Runs jobs as a runner does: an error raised in a job's own code is its outcome, and nothing is raised."""

    def run(self, job: KitJob) -> Outcome:
        """Run a job in the calling thread."""
        try:
            job.interruptible = True
            try:
                return "done", job.function()
            finally:
                job.interruptible = False
        except BaseException as error:
            return "raised", error

    async def run_coroutine(self, job: KitJob) -> Outcome:
        """Run an ``async def`` job in the running loop."""
        try:
            return "done", await job.function()
        except BaseException as error:
            return "raised", error

    def interrupted(self, job: KitJob, error: BaseException) -> Outcome:
        """Return the outcome of a job that an interrupt hit too late."""
        return "interrupted", error


class Bench:
    """A pool that runs, and what it reported.

    Args:
        pool: not started yet.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._changed = threading.Condition()
        #: Job and outcome in the order of the reports.
        self.reports: list[tuple[KitJob, Outcome]] = []

    def report(self, job: KitJob, outcome: Outcome) -> None:
        """Take a report; called by the pool."""
        with self._changed:
            self.reports.append((job, outcome))
            self._changed.notify_all()

    def submit(self, *functions: Callable[[], Any], prefix: str = "job") -> list[KitJob]:
        """Submit functions as jobs in one batch, and return the jobs."""
        jobs = [KitJob(f"{prefix}-{n}", function) for n, function in enumerate(functions)]
        self.pool.submit(jobs)
        return jobs

    def outcome(self, job: KitJob) -> Outcome:
        """Wait for a job's report and return its outcome; fail when none comes."""

        def found() -> Outcome | None:
            return next((outcome for reported, outcome in self.reports if reported is job), None)

        with self._changed:
            if not self._changed.wait_for(lambda: found() is not None, PATIENCE):
                pytest.fail(f"{job} was not reported; reported were {[j for j, _ in self.reports]}")
            outcome = found()
        assert outcome is not None
        return outcome

    def outcomes(self, jobs: list[KitJob]) -> list[Outcome]:
        """Wait for the reports of several jobs."""
        return [self.outcome(job) for job in jobs]

    def run(self, script: Callable[[], None]) -> None:
        """Start the pool and serve in this thread, while a thread in the transport's place runs ``script``."""
        self.pool.start(KitExecution(), self.report)

        def transport() -> None:
            try:
                script()
            finally:
                self.pool.stop()

        thread = Thread(transport)
        self.pool.serve()
        thread.result()


def busy(started: threading.Event, release: threading.Event) -> Callable[[], str]:
    """Return a function that runs Python code until it is released: it can be interrupted at any bytecode."""

    def work() -> str:
        started.set()
        while not release.is_set():
            release.wait(0.01)
        return "released"

    return work


class PoolConformance(Conformance):
    """Every promise of :mod:`tq_core.contracts.pool`, in the test's own process.

    Override ``address``, or ``pool_class``. The tests must run in the main thread of their process.
    """

    contract: ClassVar[str] = "pool"

    @pytest.fixture
    def address(self) -> Address | None:
        """Names the pool as ``worker_pool`` does; to be overridden where ``pool_class`` is not."""
        return None

    @pytest.fixture
    def pool_class(self, address: Address | None) -> type[Pool]:
        """The pool under test; to be overridden where there is no ``address``."""
        if address is None:
            raise NotImplementedError("override the fixture `address`, or `pool_class`")
        return address.pool_class()

    def capabilities(self, request: pytest.FixtureRequest) -> Any:
        """Return what the class declares."""
        return request.getfixturevalue("pool_class").capabilities

    @pytest.fixture(autouse=True)
    def _signals_as_they_were(self) -> Iterator[None]:
        """Put signal handlers back that a pool installs in the main thread."""
        handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        yield
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    @pytest.fixture
    def slots(self, pool_class: type[Pool]) -> int:
        """As many slots as one runner of the pool gets at ``-c 3``."""
        return pool_class.layout(3, None).slots

    @pytest.fixture
    def bench(self, pool_class: type[Pool], slots: int) -> Bench:
        """A pool of that many slots, not started."""
        return Bench(pool_class(slots))

    @pytest.fixture
    def one(self, pool_class: type[Pool]) -> Bench:
        """A pool of one slot, not started."""
        return Bench(pool_class(1))

    # --- layout

    @promise("layout.spread", "layout() spreads a concurrency over processes and slots, and obeys --processes")
    @pytest.mark.parametrize("concurrency", [1, 2, 8])
    def test_layout_spreads_a_concurrency(self, pool_class: type[Pool], concurrency: int) -> None:
        usual = pool_class.layout(concurrency, None)
        assert usual.processes >= 1
        assert usual.slots >= 1
        assert usual.processes * usual.slots in (concurrency, 1)
        assert pool_class.layout(concurrency, 3).processes == 3

    @promise("layout.isolated", "an isolated pool has one slot in each process", needs="isolated")
    def test_an_isolated_pool_has_one_slot_a_process(self, pool_class: type[Pool]) -> None:
        assert pool_class.layout(8, None).slots == pool_class.layout(8, 2).slots == 1

    # --- jobs

    @promise("jobs.all", "every job runs once, and is reported with its own outcome")
    def test_every_job_runs_once_and_is_reported(self, bench: Bench) -> None:
        ran: list[int] = []

        def work(n: int) -> int:
            ran.append(n)
            return n

        def script() -> None:
            functions = [functools.partial(work, n) for n in range(500)]
            jobs = bench.submit(*functions[:1]) + bench.submit(*functions[1:])
            assert bench.outcomes(jobs) == [("done", n) for n in range(500)]

        bench.run(script)
        assert sorted(ran) == list(range(500))
        assert len(bench.reports) == 500

    @promise("jobs.order", "one slot runs jobs in the order in which they were submitted")
    def test_one_slot_runs_jobs_in_order(self, one: Bench) -> None:
        ran: list[int] = []

        def script() -> None:
            functions = [functools.partial(ran.append, n) for n in range(100)]
            one.outcomes(one.submit(*functions[:30]) + one.submit(*functions[30:]))

        one.run(script)
        assert ran == list(range(100))

    @promise("jobs.errors", "a job that raises is reported, and the next one runs")
    @pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
    def test_a_job_that_raises_is_reported_and_the_next_one_runs(self, one: Bench, error: BaseException) -> None:
        def fail() -> None:
            raise error

        def script() -> None:
            bad, good = one.submit(fail, lambda: "fine")
            assert one.outcome(bad) == ("raised", error)
            assert one.outcome(good) == ("done", "fine")

        one.run(script)

    @promise("jobs.slots", "as many jobs run at a time as there are slots, and no more")
    def test_as_many_jobs_run_as_there_are_slots(self, bench: Bench, slots: int) -> None:
        running = set[int]()
        most: list[int] = []
        full, release = threading.Event(), threading.Event()
        lock = threading.Lock()

        def work(n: int) -> None:
            with lock:
                running.add(n)
                most.append(len(running))
                if len(running) == slots:
                    full.set()
            release.wait(PATIENCE)
            with lock:
                running.discard(n)

        def script() -> None:
            try:
                jobs = bench.submit(*(functools.partial(work, n) for n in range(2 * slots + 1)))
                assert full.wait(PATIENCE), f"at most {max(most, default=0)} of {slots} ran at a time"
                assert until(lambda: bench.pool.queued() == slots + 1, "queued() does not count the jobs that wait")
            finally:
                release.set()
            bench.outcomes(jobs)
            assert bench.pool.queued() == 0

        bench.run(script)
        assert max(most) == slots

    @promise("jobs.submit", "submit() does not wait for a slot")
    def test_submit_does_not_wait(self, one: Bench) -> None:
        started, release = threading.Event(), threading.Event()

        def script() -> None:
            try:
                one.submit(busy(started, release))
                assert started.wait(PATIENCE)
                submitting = Thread(lambda: one.submit(*(lambda: None for _ in range(1000)), prefix="more"))
                jobs = submitting.result()
                assert one.reports == []
            finally:
                release.set()
            one.outcomes(jobs)

        one.run(script)

    @promise("jobs.withdraw", "withdraw() takes back, in order, exactly the jobs that have not started")
    def test_withdraw_takes_back_what_has_not_started(self, one: Bench) -> None:
        started, release = threading.Event(), threading.Event()
        ran: list[int] = []

        def script() -> None:
            try:
                (running,) = one.submit(busy(started, release))
                assert started.wait(PATIENCE)
                waiting = one.submit(*(functools.partial(ran.append, n) for n in range(5)), prefix="waiting")
                assert one.pool.withdraw() == waiting
                assert one.pool.withdraw() == []
                assert one.pool.queued() == 0
            finally:
                release.set()
            assert one.outcome(running) == ("done", "released")
            assert one.outcomes(one.submit(lambda: "next", prefix="next")) == [("done", "next")]

        one.run(script)
        assert ran == []

    @promise("jobs.same-id", "two jobs of one task id are two jobs")
    def test_two_jobs_of_one_id_are_two_jobs(self, bench: Bench) -> None:
        def script() -> None:
            jobs = [KitJob("same", lambda: 1), KitJob("same", lambda: 2)]
            bench.pool.submit(jobs)
            assert bench.outcomes(jobs) == [("done", 1), ("done", 2)]

        bench.run(script)

    # --- interrupts

    @promise("cancel.running", "cancel() raises the error inside a running job, and the slot goes on", needs="cancel")
    def test_cancel_raises_inside_a_running_job(self, one: Bench) -> None:
        started, never = threading.Event(), threading.Event()

        def script() -> None:
            (job,) = one.submit(busy(started, never))
            try:
                assert started.wait(PATIENCE)
                assert one.pool.cancel(job, Terminated) is True
                kind, error = one.outcome(job)
            finally:
                never.set()
            assert (kind, type(error)) == ("raised", Terminated)
            assert one.outcomes(one.submit(lambda: "next", prefix="next")) == [("done", "next")]

        one.run(script)

    @promise("cancel.caught", "a job may catch the soft limit's error and end well", needs="soft_limit")
    def test_a_job_may_catch_the_soft_limit(self, one: Bench) -> None:
        started, never = threading.Event(), threading.Event()

        def careful() -> str:
            try:
                return busy(started, never)()
            except SoftTimeLimitExceeded:
                return "cleaned up"

        def script() -> None:
            (job,) = one.submit(careful)
            try:
                assert started.wait(PATIENCE)
                assert one.pool.cancel(job, SoftTimeLimitExceeded) is True
                assert one.outcome(job) == ("done", "cleaned up")
            finally:
                never.set()

        one.run(script)

    @promise("cancel.not-running", "cancel() of a job that waits or has ended is False, and disturbs nobody")
    def test_cancel_of_a_job_that_does_not_run_is_false(self, one: Bench) -> None:
        started, release = threading.Event(), threading.Event()

        def script() -> None:
            (ended,) = one.submit(lambda: "ended")
            one.outcome(ended)
            try:
                running, waiting = one.submit(busy(started, release), lambda: "waited")
                assert started.wait(PATIENCE)
                assert one.pool.cancel(ended, Terminated) is False
                assert one.pool.cancel(waiting, Terminated) is False
            finally:
                release.set()
            assert one.outcomes([running, waiting]) == [("done", "released"), ("done", "waited")]

        one.run(script)

    @promise("cancel.not-interruptible", "no error is raised in a job that is not interruptible just now")
    def test_a_job_that_is_not_interruptible_is_left_alone(self, one: Bench) -> None:
        started, release = threading.Event(), threading.Event()
        jobs: list[KitJob] = []

        def guarded() -> str:
            jobs[0].interruptible = False
            return busy(started, release)()

        def script() -> None:
            jobs.append(KitJob("guarded", guarded))
            one.pool.submit(jobs)
            try:
                assert started.wait(PATIENCE)
                one.pool.cancel(jobs[0], Terminated)
            finally:
                release.set()
            assert one.outcome(jobs[0]) == ("done", "released")

        one.run(script)

    @promise("cancel.others", "cancelling one job leaves those in other slots alone", needs="cancel")
    def test_cancelling_one_job_leaves_the_others_alone(self, bench: Bench, slots: int) -> None:
        if slots < 2:
            pytest.skip("a runner of this pool has one slot")
        started = [threading.Event() for _ in range(slots)]
        release = threading.Event()

        def script() -> None:
            jobs = bench.submit(*(busy(event, release) for event in started))
            try:
                assert all(event.wait(PATIENCE) for event in started)
                assert bench.pool.cancel(jobs[0], Terminated) is True
                kind, error = bench.outcome(jobs[0])
            finally:
                release.set()
            assert (kind, type(error)) == ("raised", Terminated)
            assert bench.outcomes(jobs[1:]) == [("done", "released")] * (slots - 1)

        bench.run(script)

    @promise("hard-limit.slot", "abandon() frees the slot of a job that cannot be interrupted", needs="hard_limit")
    def test_an_abandoned_job_frees_its_slot(self, one: Bench) -> None:
        started, release, ended = threading.Event(), threading.Event(), threading.Event()

        def stuck() -> None:
            started.set()
            release.wait(10 * PATIENCE)  # in the interpreter's own code: no error reaches it
            ended.set()

        def script() -> None:
            (job,) = one.submit(stuck)
            try:
                assert started.wait(PATIENCE)
                assert one.pool.abandon(job) is True
                assert one.pool.abandon(job) is False
                assert one.outcomes(one.submit(lambda: "next", prefix="next")) == [("done", "next")]
            finally:
                release.set()
            assert ended.wait(PATIENCE)
            assert one.outcomes(one.submit(lambda: "last", prefix="last")) == [("done", "last")]
            assert job not in [reported for reported, _ in one.reports]

        one.run(script)

    @promise("hard-limit.not-running", "abandon() of a job that does not run here is False")
    def test_abandoning_a_job_that_does_not_run_is_false(self, one: Bench) -> None:
        def script() -> None:
            (ended,) = one.submit(lambda: "ended")
            one.outcome(ended)
            assert one.pool.abandon(ended) is False
            assert one.pool.abandon(KitJob("stranger", lambda: None)) is False

        one.run(script)

    # --- coroutines

    @promise("coroutines.together", "as many coroutines as slots run at a time, all in one thread", needs="coroutines")
    def test_coroutines_run_together_in_one_thread(self, pool_class: type[Pool]) -> None:
        import asyncio

        slots = pool_class.layout(50, None).slots
        bench = Bench(pool_class(slots))
        arrived: list[int] = []
        gate: list[asyncio.Event] = []

        async def meet() -> int:
            gate.append(gate[0] if gate else asyncio.Event())
            arrived.append(threading.get_ident())
            if len(arrived) == slots:
                gate[0].set()
            await gate[0].wait()
            return threading.get_ident()

        def coroutine() -> Coroutine[Any, Any, int]:
            return meet()

        def script() -> None:
            jobs = [KitJob(f"meet-{n}", coroutine, is_coroutine=True) for n in range(slots)]
            bench.pool.submit(jobs)
            outcomes = bench.outcomes(jobs)
            assert {kind for kind, _ in outcomes} == {"done"}
            assert len({thread for _, thread in outcomes}) == 1

        bench.run(script)

    # --- slots and stopping

    @promise("resize.more", "resize() gives more slots at once where a runner may have several")
    def test_resize_gives_more_slots(self, pool_class: type[Pool]) -> None:
        if pool_class.layout(3, None).slots < 2:
            pytest.skip("a runner of this pool has one slot")
        bench = Bench(pool_class(1))
        together = threading.Barrier(3)

        def script() -> None:
            bench.pool.resize(3)
            jobs = bench.submit(*(lambda: together.wait(PATIENCE) >= 0 for _ in range(3)))
            assert bench.outcomes(jobs) == [("done", True)] * 3

        bench.run(script)

    @promise("resize.fewer", "resize() to fewer slots lets running jobs finish, and all that follow run")
    def test_resize_to_fewer_lets_running_jobs_finish(self, bench: Bench, slots: int) -> None:
        started = [threading.Event() for _ in range(slots)]
        release = threading.Event()

        def script() -> None:
            try:
                running = bench.submit(*(busy(event, release) for event in started))
                assert all(event.wait(PATIENCE) for event in started)
                bench.pool.resize(1)
                more = bench.submit(*(lambda: "more" for _ in range(10)), prefix="more")
            finally:
                release.set()
            assert bench.outcomes(running) == [("done", "released")] * slots
            assert bench.outcomes(more) == [("done", "more")] * 10

        bench.run(script)

    @promise("stop.drains", "serve() returns once the running and the queued jobs have ended")
    def test_stop_lets_running_and_queued_jobs_end(self, one: Bench) -> None:
        started, release = threading.Event(), threading.Event()
        jobs: list[KitJob] = []

        def script() -> None:
            jobs.extend(one.submit(busy(started, release), lambda: "queued"))
            try:
                assert started.wait(PATIENCE)
                one.pool.stop()
            finally:
                release.set()

        with suppress(KeyboardInterrupt):
            one.run(script)
        assert [outcome for _, outcome in one.reports] == [("done", "released"), ("done", "queued")]

    @promise("stop.idle", "an idle pool stops at once, and may be stopped twice")
    def test_an_idle_pool_stops(self, bench: Bench) -> None:
        bench.run(bench.pool.stop)
        assert bench.reports == []
