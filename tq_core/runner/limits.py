"""What ends running tasks from outside: soft and hard time limits, and termination. One thread of the runner watches.

At the soft limit ``SoftTimeLimitExceeded`` is raised inside the task. At the hard limit the pool gives the task's
slot up, where it can; a pool with one task per process leaves that to the supervisor, who kills the process. A task
that is terminated finds ``Terminated`` raised inside it, and has a grace to get out of its code.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from time import monotonic

from tq_core.contracts.pool import Pool
from tq_core.errors import SoftTimeLimitExceeded, Terminated, TimeLimitExceeded
from tq_core.outcome import Failed, Outcome, Revoked
from tq_core.runner.job import Job

logger = logging.getLogger("tq.worker.request")

#: Limits of ended tasks are swept out when the list is longer than this, and than four times the running tasks.
_SWEEP_ABOVE = 256
#: Seconds that a terminated task has to get out of its code.
GRACE = 2.0


class Limits:
    """The running tasks that have a limit, or are to end.

    Args:
        pool: interrupts tasks.
        report: takes the outcome of a task whose slot was given up.

    Attributes:
        terminated: running jobs that are to end, with the number of the signal, by identity.
    """

    def __init__(self, pool: Pool, report: Callable[[Job, Outcome], None]) -> None:
        self._pool = pool
        self._report = report
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Job, Callable[[Job], None]]] = []
        self._live: set[int] = set()
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._warned: set[str] = set()
        self.terminated: dict[int, tuple[Job, int]] = {}

    def watch(self, job: Job) -> None:
        """Watch over a job that starts now. Called by the thread that runs it."""
        self._warn(job)
        with self._changed:
            self._live.add(id(job))
            if job.soft_time_limit is not None:
                self._add(job.started + job.soft_time_limit, job, self._strike_softly)
            if job.time_limit is not None and self._pool.capabilities.hard_limit:
                self._add(job.started + job.time_limit, job, self._strike)
            if len(self._due) > max(_SWEEP_ABOVE, 4 * len(self._live)):
                # Tasks usually end long before their limit; until then their arguments would stay in memory.
                self._due = [entry for entry in self._due if id(entry[2]) in self._live]
                heapq.heapify(self._due)
            self._wake()

    def _warn(self, job: Job) -> None:
        """Say, once for each task, that a call has a limit which this pool cannot keep; tasks' own are refused."""
        can = self._pool.capabilities
        soft = job.soft_time_limit is not None and not can.soft_limit
        hard = job.time_limit is not None and not (can.hard_limit or can.isolated)
        if (soft or hard) and job.task_name not in self._warned:
            self._warned.add(job.task_name)
            logger.warning(
                "%s[%s] was called with a %stime limit, which this pool cannot keep; see docs/pools.md",
                job.task_name,
                job.task_id,
                "soft " if soft else "",
            )

    def terminate(self, job: Job, signum: int) -> None:
        """End a running job, whose outcome is then that it was revoked. Called by the mailbox's thread.

        Args:
            job: the job.
            signum: number of the signal it is told to have got.
        """
        with self._changed:
            self.terminated[id(job)] = job, signum
            self._live.add(id(job))
            self._add(monotonic() + GRACE, job, self._give_up)
            self._wake()
        self._pool.cancel(job, Terminated)

    def interrupt(self, job: Job) -> None:
        """Do to a running job what its soft time limit would. Called by the mailbox's thread."""
        self._pool.cancel(job, SoftTimeLimitExceeded)

    def outcome(self, job: Job, outcome: Outcome) -> Outcome:
        """Return the outcome of a job that has ended while some are :attr:`terminated`."""
        found = self.terminated.pop(id(job), None)
        if found is None or not isinstance(outcome, (Failed, Revoked)):
            return outcome  # what has come to its own end after all keeps it
        return Revoked("terminated", outcome.runtime, found[1])

    def release(self, job: Job) -> None:
        """Forget a job that ended. Called by the thread that ran it."""
        with self._changed:
            self._live.discard(id(job))

    def close(self) -> None:
        """Watch no more, and wait for the thread to end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                next_due = self._next_due()
                if next_due is None:
                    return
                job, strike = next_due
                if id(job) not in self._live:
                    continue
            strike(job)

    def _add(self, when: float, job: Job, strike: Callable[[Job], None]) -> None:
        heapq.heappush(self._due, (when, next(self._order), job, strike))

    def _wake(self) -> None:
        """Let the thread look at what is due next; called with the condition held."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="Limits", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _next_due(self) -> tuple[Job, Callable[[Job], None]] | None:
        """Wait for the next limit, None once closed; called with the condition held."""
        while not self._closed:
            wait = self._due[0][0] - monotonic() if self._due else None
            if wait is not None and wait <= 0:
                _, _, job, strike = heapq.heappop(self._due)
                return job, strike
            self._changed.wait(wait)
        return None

    def _strike_softly(self, job: Job) -> None:
        if self._pool.cancel(job, SoftTimeLimitExceeded):
            logger.warning("Soft time limit (%ss) exceeded for %s[%s]", job.soft_time_limit, job.task_name, job.task_id)

    def _strike(self, job: Job) -> None:
        # Interrupting comes first: a task in Python code then ends and frees its thread; one in a call that does not
        # return keeps the thread, but no longer the slot.
        self._pool.cancel(job, TimeLimitExceeded)
        if not self._pool.abandon(job):
            return
        logger.error("Hard time limit (%ss) exceeded for %s[%s]", job.time_limit, job.task_name, job.task_id)
        error = TimeLimitExceeded(job.time_limit)
        self._report(job, Failed(error, f"TimeLimitExceeded({job.time_limit},)\n", monotonic() - job.started))

    def _give_up(self, job: Job) -> None:
        """Free the slot of a terminated job that did not get out of its code; a process is killed by the supervisor."""
        self._live.discard(id(job))
        if self._pool.abandon(job):
            logger.error("Task %s[%s] did not end when it was terminated", job.task_name, job.task_id)
            self._report(job, Revoked("terminated", monotonic() - job.started))
        else:
            self.terminated.pop(id(job), None)
