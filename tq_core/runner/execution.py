"""Station 8: running a job."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import monotonic

from tq_core.exception_info import format_exception
from tq_core.outcome import Failed, Outcome
from tq_core.runner import narration
from tq_core.runner.board import BoardRow
from tq_core.runner.job import Job, request_of
from tq_core.runner.limits import Limits
from tq_core.tracing import trace


class TaskExecution:
    """Runs jobs for a pool; called in the pool's threads.

    Args:
        board: where this runner notes what it is doing.
        limits: watches over the limits of running tasks.
        hostname: the worker's node name.
        loglevel, logfile: of the worker, shown to tasks.
        on_started, on_finished: told of each run (``tq_task_started``, ``tq_task_finished``).
    """

    def __init__(
        self,
        board: BoardRow,
        limits: Limits,
        hostname: str,
        loglevel: int | None = None,
        logfile: str | None = None,
        on_started: Sequence[Callable[[str, str], None]] = (),
        on_finished: Sequence[Callable[[str, str, str, float], None]] = (),
    ) -> None:
        self._board = board
        self._limits = limits
        self._hostname = hostname
        self._loglevel = loglevel
        self._logfile = logfile
        self._on_started = tuple(on_started)
        self._on_finished = tuple(on_finished)
        self._pid = os.getpid()

    def run(self, job: Job) -> Outcome:
        """Run a job and return its outcome."""
        started = monotonic()
        hard = job.time_limit
        slot = self._board.start(job.task_id, job.task_name, started, started + hard if hard else None)
        job.started = started
        watched = hard is not None or job.soft_time_limit is not None
        try:
            assert job.plan is not None
            request = request_of(job, self._hostname, loglevel=self._loglevel, logfile=self._logfile)
            job.request = request
            if watched:
                self._limits.watch(job)
            for started_listener in self._on_started:
                started_listener(job.task_id, job.task_name)
            outcome = trace(job.plan, request, job)
            if os.getpid() != self._pid:
                # The task forked, and this is its child coming out of it: the parent alone reports, and runs the rest.
                os._exit(0)
            narration.ended(job, outcome)
            for finished_listener in self._on_finished:
                finished_listener(job.task_id, job.task_name, outcome.state, outcome.runtime)
            return outcome
        except BaseException as error:  # nothing a task does may end the thread that runs it
            return self.interrupted(job, error)
        finally:
            if watched:
                self._limits.release(job)
            self._board.end(slot)

    def interrupted(self, job: Job, error: BaseException) -> Outcome:
        """Return the outcome of a job that an error hit outside of its own code."""
        return Failed(error, format_exception(error), monotonic() - job.started)
