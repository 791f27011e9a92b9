"""Station 8: running a job."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import monotonic

from tq_core.exception_info import format_exception
from tq_core.outcome import Failed, Outcome
from tq_core.request import Request
from tq_core.runner import narration
from tq_core.runner.board import BoardRow
from tq_core.runner.job import Job, request_of
from tq_core.runner.limits import Limits
from tq_core.tracing import announce_internal_error, trace, trace_coroutine

#: Exit code of a runner whose descriptors a task has closed.
EXIT_ROBBED = 72


class TaskExecution:
    """Runs jobs for a pool; called in the pool's threads.

    Args:
        board: where this runner notes what it is doing.
        limits: watches over the limits of running tasks.
        hostname: the worker's node name.
        loglevel, logfile: of the worker, shown to tasks.
        on_started, on_finished: told of each run (``tq_task_started``, ``tq_task_finished``).
        intact: asked after each run; False when the task has taken from this process what it lives by.

    Attributes:
        running: the jobs that run now; may be copied by any thread.
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
        intact: Callable[[], bool] = lambda: True,
    ) -> None:
        self._board = board
        self._limits = limits
        self._hostname = hostname
        self._loglevel = loglevel
        self._logfile = logfile
        self._on_started = tuple(on_started)
        self._on_finished = tuple(on_finished)
        self._intact = intact
        self._pid = os.getpid()
        self.running: set[Job] = set()

    def run(self, job: Job) -> Outcome:
        """Run a job and return its outcome."""
        slot = self._take_slot(job)
        try:
            request = self._begin(job)
            assert job.plan is not None
            outcome = trace(job.plan, request, job)
            if os.getpid() != self._pid:
                # The task forked, and this is its child coming out of it: the parent alone reports, and runs the rest.
                os._exit(0)
            self._end(job, outcome)
            return outcome
        except BaseException as error:  # nothing a task does may end the thread that runs it
            return self.interrupted(job, error)
        finally:
            self._give_slot(job, slot)

    async def run_coroutine(self, job: Job) -> Outcome:
        """Run a job of an ``async def`` task in the running loop and return its outcome."""
        slot = self._take_slot(job)
        try:
            request = self._begin(job)
            assert job.plan is not None
            outcome = await trace_coroutine(job.plan, request, job)
            if os.getpid() != self._pid:
                os._exit(0)  # as above
            self._end(job, outcome)
            return outcome
        except BaseException as error:
            return self.interrupted(job, error)
        finally:
            self._give_slot(job, slot)

    def interrupted(self, job: Job, error: BaseException) -> Outcome:
        """Return the outcome of a job that an error hit outside of its own code."""
        if job.plan is not None and job.request is not None:
            announce_internal_error(job.plan, job.request, error)
        return Failed(error, format_exception(error), monotonic() - job.started)

    def _take_slot(self, job: Job) -> int:
        started = monotonic()
        hard = job.time_limit
        slot = self._board.start(job.task_id, job.task_name, started, started + hard if hard else None)
        job.started = started
        self.running.add(job)
        return slot

    def _begin(self, job: Job) -> Request:
        request = request_of(job, self._hostname, loglevel=self._loglevel, logfile=self._logfile)
        job.request = request
        if _has_limit(job):
            self._limits.watch(job)
        for listener in self._on_started:
            listener(job.task_id, job.task_name)
        return request

    def _end(self, job: Job, outcome: Outcome) -> None:
        if not self._intact():
            # Nothing can be said to broker or supervisor any more, but the board still names the task.
            os._exit(EXIT_ROBBED)
        narration.ended(job, outcome)
        for listener in self._on_finished:
            listener(job.task_id, job.task_name, outcome.state, outcome.runtime)

    def _give_slot(self, job: Job, slot: int) -> None:
        if _has_limit(job):
            self._limits.release(job)
        self._board.end(slot)
        self.running.discard(job)


def _has_limit(job: Job) -> bool:
    return job.time_limit is not None or job.soft_time_limit is not None
