"""One slot in the runner's main thread; ``prefork`` is several runners of it."""

from __future__ import annotations

# The public functions make enumeration members of what these return: ten times the work, and that for every task.
import _signal  # type: ignore[import-not-found]  # typeshed leaves it out
import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from tq_core.contracts.pool import Execution, Layout, Pool, PoolCapabilities
from tq_core.pools.job_queue import JobQueue

#: Signals whose handlers every task finds as the worker set them: those that interrupt a task or end a worker, and the
#: one that makes waiting for child processes work.
_KEPT = tuple(
    int(getattr(signal, name)) for name in ("SIGUSR1", "SIGTERM", "SIGINT", "SIGCHLD") if hasattr(signal, name)
)


class SoloPool(Pool):
    """Runs one job after the other in the main thread of its process.

    A running task is interrupted by a signal to the main thread, whose handler raises the error between two
    bytecodes; code that does not return to the interpreter is ended only by killing the process, which is the
    supervisor's part.
    """

    name = "solo"
    #: Without this signal, which Windows lacks, nothing interrupts the main thread.
    capabilities = PoolCapabilities(
        soft_limit=hasattr(signal, "SIGUSR1"), hard_limit=False, isolated=True, cancel=hasattr(signal, "SIGUSR1")
    )

    @classmethod
    def layout(cls, concurrency: int, processes: int | None) -> Layout:
        """One slot in each of ``--processes`` runners."""
        return Layout(processes or 1, 1)

    def __init__(self, slots: int) -> None:
        super().__init__(1)
        self._jobs = JobQueue()
        self._current: Any = None
        self._interrupt: tuple[Any, type[BaseException]] | None = None
        self._interruptible = False
        self._main_thread = 0
        self._handlers: list[tuple[int, Any]] = []

    def start(self, execution: Execution, report: Callable[[Any, Any], None]) -> None:
        """Install the interrupt handler where that is possible: in the main thread of the process."""
        self._execution = execution
        self._report = report
        self._main_thread = threading.get_ident()
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, self._on_interrupt)
            self._interruptible = True
            self._handlers = [(number, _signal.getsignal(number)) for number in _KEPT]

    def serve(self) -> None:
        """Run jobs until :meth:`stop`."""
        take, run, report = self._jobs.take, self._execution.run, self._report
        while (job := take()) is not None:
            for number, handler in self._handlers:
                if _signal.getsignal(number) is not handler:
                    # The task before this one took the signal for itself; this one needs it as it was.
                    signal.signal(number, handler)
            if self._interruptible:
                _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _KEPT)
            self._current = job
            outcome = run(job)
            self._current = None
            report(job, outcome)

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
        """Interrupt the main thread if it runs this job."""
        if job is not self._current or not self._interruptible:
            return False
        self._interrupt = (job, error)
        signal.pthread_kill(self._main_thread, signal.SIGUSR1)
        return True

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        wanted, self._interrupt = self._interrupt, None
        job = self._current
        # The task may have ended between the decision and this bytecode: then nobody is interrupted.
        if wanted is None or job is not wanted[0]:
            return
        if job.interruptible:
            raise wanted[1]
        if job.throw is not None:
            job.throw(wanted[1])

    def resize(self, slots: int) -> None:
        """A solo pool has one slot for ever; more of them are more runners."""

    def stop(self) -> None:
        """End :meth:`serve` after the queued jobs."""
        self._jobs.put_stop()


class PreforkPool(SoloPool):
    """``-c N`` runner processes of one slot each."""

    name = "prefork"

    @classmethod
    def layout(cls, concurrency: int, processes: int | None) -> Layout:
        """As many processes as the concurrency says; ``--processes`` is another word for it."""
        return Layout(processes or concurrency or os.cpu_count() or 1, 1)
