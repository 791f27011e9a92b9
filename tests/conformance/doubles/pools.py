"""Pools that break a promise each: the thread pool or the solo pool with one fault."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from tq_core.contracts.pool import Execution, Layout, PoolCapabilities
from tq_core.pools.solo import SoloPool
from tq_core.pools.threads import ThreadPool


class Faultless(ThreadPool):
    """Nothing is wrong with it."""

    BREAKS: frozenset[str] = frozenset()


class SwallowsErrors(Faultless):
    """A job that raised is not reported."""

    BREAKS = frozenset({"jobs.errors", "cancel.running", "cancel.others"})

    def start(self, execution: Execution, report: Callable[[Any, Any], None]) -> None:
        super().start(execution, lambda job, outcome: None if outcome[0] == "raised" else report(job, outcome))


class IgnoresCancel(Faultless):
    """It says that a job was cancelled and lets it run."""

    BREAKS = frozenset({"cancel.running", "cancel.caught", "cancel.others"})

    def cancel(self, job: Any, error: type[BaseException]) -> bool:
        with self._changed:
            return id(job) in self._running


class CancelsAnybody(Faultless):
    """It raises errors in jobs that must not be interrupted just now."""

    BREAKS = frozenset({"cancel.not-interruptible"})

    def cancel(self, job: Any, error: type[BaseException]) -> bool:
        before, job.interruptible = job.interruptible, True
        try:
            return super().cancel(job, error)
        finally:
            job.interruptible = before


class RunsOneTooMany(Faultless):
    """Where it has several slots, it has one thread more."""

    BREAKS = frozenset({"jobs.slots"})

    def start(self, execution: Execution, report: Callable[[Any, Any], None]) -> None:
        super().start(execution, report)
        with self._changed:
            if self.slots > 1:
                self._add_thread()


class ReportsTheAbandoned(Faultless):
    """A job that was given up is reported after all."""

    BREAKS = frozenset({"hard-limit.slot"})

    def abandon(self, job: Any) -> bool:
        gave_up = super().abandon(job)
        if gave_up:
            function = job.function
            report = self._report
            threading.Thread(target=lambda: report(job, ("done", function)), daemon=True).start()
        return gave_up


class KeepsTheSlot(Faultless):
    """A job that was given up keeps its slot."""

    BREAKS = frozenset({"hard-limit.slot"})

    def _add_thread(self) -> None:
        if len(self._working) < self.slots and not getattr(self, "_full", False):
            super()._add_thread()

    def abandon(self, job: Any) -> bool:
        self._full = True
        return super().abandon(job)


class LosesTheWithdrawn(Faultless):
    """What is withdrawn is gone."""

    BREAKS = frozenset({"jobs.withdraw"})

    def withdraw(self) -> list[Any]:
        super().withdraw()
        return []


class DropsWhatWaits(Faultless):
    """Stopping drops what has not started."""

    BREAKS = frozenset({"stop.drains"})

    def stop(self) -> None:
        self.withdraw()
        super().stop()


class BlocksSubmit(Faultless):
    """Submitting waits until a thread is free."""

    BREAKS = frozenset({"jobs.submit"})

    def submit(self, jobs: Sequence[Any]) -> None:
        super().submit(jobs)
        while len(jobs) > 600 and self.queued():
            threading.Event().wait(0.01)


class ReportsTwice(Faultless):
    """Every job is reported twice."""

    BREAKS = frozenset({"jobs.all", "stop.drains"})

    def start(self, execution: Execution, report: Callable[[Any, Any], None]) -> None:
        def twice(job: Any, outcome: Any) -> None:
            report(job, outcome)
            report(job, outcome)

        super().start(execution, twice)


class IgnoresProcesses(Faultless):
    """``--processes`` does nothing."""

    BREAKS = frozenset({"layout.spread"})

    @classmethod
    def layout(cls, concurrency: int, processes: int | None) -> Layout:
        return Layout(1, concurrency)


class IgnoresResize(Faultless):
    """Slots stay as they are."""

    BREAKS = frozenset({"resize.more"})

    def resize(self, slots: int) -> None:
        """Do nothing."""


class ClaimsIsolation(Faultless):
    """Threads that call themselves isolated."""

    capabilities = PoolCapabilities(soft_limit=True, hard_limit=True, cancel=True, isolated=True)
    BREAKS = frozenset({"layout.isolated"})


class EndsWithItsJob(SoloPool):
    """A job's SystemExit ends the pool: it runs jobs outside of the execution."""

    BREAKS = frozenset({"jobs.errors"})

    def serve(self) -> None:
        while (job := self._jobs.take()) is not None:
            self._current = job
            job.interruptible = True
            try:
                outcome: Any = ("done", job.function())
            except Exception as error:
                outcome = ("raised", error)
            finally:
                job.interruptible = False
                self._current = None
            self._report(job, outcome)


ALL = [
    kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, ThreadPool | SoloPool) and kind not in (ThreadPool, SoloPool)
]
