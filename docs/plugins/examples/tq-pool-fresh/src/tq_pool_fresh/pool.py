"""The pool."""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from tq_core.contracts.pool import Execution, Layout, Pool

from tq_pool_fresh.plugin import CAPABILITIES


class FreshThreadPool(Pool):
    """Starts a thread for each job and lets it end with the job.

    Thread-local data, context variables and an event loop that a task left behind end with its thread. That costs
    some ten microseconds a task. Everything below is guarded by one condition, whose waiter is the main thread.
    """

    name = "fresh"
    capabilities = CAPABILITIES

    @classmethod
    def layout(cls, concurrency: int, processes: int | None) -> Layout:
        """``concurrency`` slots in each of ``--processes`` runners."""
        return Layout(processes or 1, concurrency)

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self._changed = threading.Condition()
        self._queued: deque[Any] = deque()
        #: Slots in use, until what ran in them has been reported.
        self._busy = 0
        #: Which thread runs which job. By the job's identity: two deliveries of one task are two jobs.
        self._running: dict[int, int] = {}
        self._stopping = False

    def start(self, execution: Execution, report: Callable[[Any, Any], None]) -> None:
        """Keep what runs a job and what is told of its end."""
        self._execution = execution
        self._report = report

    def serve(self) -> None:
        """Start threads in the main thread, until the pool is to stop and nothing is left."""
        while (job := self._next()) is not None:
            # A daemon: a thread that was given up at its hard limit must not keep the process from ending.
            threading.Thread(target=self._run, args=(job,), daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: not self._busy)

    def _next(self) -> Any:
        """Wait for a job and a free slot; None when there will be no more jobs."""
        with self._changed:
            self._changed.wait_for(self._can_go_on)
            if not self._queued:
                return None
            job = self._queued.popleft()
            self._busy += 1
            return job

    def _can_go_on(self) -> bool:
        if self._queued:
            return self._busy < self.slots
        return self._stopping

    def _run(self, job: Any) -> None:
        with self._changed:
            self._running[id(job)] = threading.get_ident()
        try:
            outcome = self._execution.run(job)
        except BaseException as error:  # an interrupt that came a moment after the task had ended
            outcome = self._execution.interrupted(job, error)
        with self._changed:
            if self._running.pop(id(job), None) is None:
                return  # abandoned: somebody else decides what became of it
        self._report(job, outcome)
        self._free_slot()

    def _free_slot(self) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def submit(self, jobs: Sequence[Any]) -> None:
        """Queue jobs."""
        with self._changed:
            self._queued.extend(jobs)
            self._changed.notify_all()

    def withdraw(self) -> list[Any]:
        """Take the queue back."""
        with self._changed:
            jobs = list(self._queued)
            self._queued.clear()
            return jobs

    def queued(self) -> int:
        """Return how many jobs wait."""
        return len(self._queued)

    def cancel(self, job: Any, error: type[BaseException]) -> bool:
        """Raise ``error`` in the job's thread, between two steps of its Python code."""
        with self._changed:
            thread = self._running.get(id(job))
            if thread is None or not job.interruptible:
                return False
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
        return True

    def abandon(self, job: Any) -> bool:
        """Forget a job; its slot is free, and what its thread still reports is not passed on."""
        with self._changed:
            if self._running.pop(id(job), None) is None:
                return False
        self._free_slot()
        return True

    def resize(self, slots: int) -> None:
        """Have more slots at once, or fewer as jobs end."""
        with self._changed:
            self.slots = slots
            self._changed.notify_all()

    def stop(self) -> None:
        """Let :meth:`serve` return after the queued and running jobs."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
