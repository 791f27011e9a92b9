"""Several slots in one runner, each a thread."""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from tq_core.contracts.pool import Execution, Layout, Pool, PoolCapabilities
from tq_core.pools.job_queue import JobQueue


class ThreadPool(Pool):
    """Runs jobs in threads of the runner's process.

    A running task is interrupted by raising an error in its thread at the next bytecode. A task that sits in a
    call which does not return cannot be stopped: at its hard limit its thread is given up, its slot gets a new
    thread, and what the old one still reports is ignored.
    """

    name = "threads"
    capabilities = PoolCapabilities(soft_limit=True, hard_limit=True, cancel=True)

    @classmethod
    def layout(cls, concurrency: int, processes: int | None) -> Layout:
        """``concurrency`` threads in each of ``--processes`` runners."""
        return Layout(processes or 1, concurrency)

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self._jobs = JobQueue()
        self._changed = threading.Condition()
        # By job, not by task id: two deliveries of one task may run at the same time.
        self._running: dict[int, int] = {}
        self._working: set[int] = set()
        self._stopping = False
        self._serial = itertools.count(1)

    def start(self, execution: Execution, report: Callable[[Any, Any], None]) -> None:
        """Start the threads."""
        self._execution = execution
        self._report = report
        with self._changed:
            for _ in range(self.slots):
                self._add_thread()

    def serve(self) -> None:
        """Wait for :meth:`stop`, then for the threads to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping and not self._working)

    def submit(self, jobs: Sequence[Any]) -> None:
        """Queue jobs."""
        self._jobs.put(jobs)

    def withdraw(self) -> list[Any]:
        """Take the queue back."""
        return self._jobs.withdraw()

    def queued(self) -> int:
        """Return how many jobs wait."""
        return self._jobs.qsize()

    def cancel(self, job: Any, error: type[BaseException]) -> bool:
        """Raise ``error`` in the thread that runs this job, at its next bytecode, or where its coroutine awaits."""
        with self._changed:
            thread = self._running.get(id(job))
            if thread is None:
                return False
            throw = job.throw
            if job.interruptible:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
                return True
            if throw is not None:
                throw(error)
            return throw is not None

    def abandon(self, job: Any) -> bool:
        """Give up the thread that runs this job and put a new one into its slot."""
        with self._changed:
            thread = self._running.pop(id(job), None)
            if thread is None:
                return False
            self._working.discard(thread)
            if not self._stopping:
                self._add_thread()
            self._changed.notify_all()
        return True

    def resize(self, slots: int) -> None:
        """Add threads, or let some end when they are next free."""
        with self._changed:
            difference, self.slots = slots - self.slots, slots
            for _ in range(difference):
                self._add_thread()
        if difference < 0:
            self._jobs.put_stop(-difference)

    def stop(self) -> None:
        """End every thread after the queued jobs."""
        with self._changed:
            self._stopping = True
            self._jobs.put_stop(len(self._working))
            self._changed.notify_all()

    def _add_thread(self) -> None:
        # Daemons: a thread given up at its hard limit must not keep the process from ending.
        thread = threading.Thread(target=self._work, name=f"ThreadPoolWorker-{next(self._serial)}", daemon=True)
        thread.start()
        assert thread.ident is not None
        self._working.add(thread.ident)

    def _work(self) -> None:
        me = threading.get_ident()
        while (job := self._jobs.take()) is not None:
            with self._changed:
                self._running[id(job)] = me
            try:
                outcome = self._execution.run(job)
            except BaseException as error:  # an interrupt that came a moment after its task had ended
                outcome = self._execution.interrupted(job, error)
            with self._changed:
                if self._running.pop(id(job), None) is None:
                    return  # given up at the hard limit; another thread has this slot
            self._report(job, outcome)
        with self._changed:
            self._working.discard(me)
            self._changed.notify_all()
