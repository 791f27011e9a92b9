"""Rate limits: which jobs may start now, which wait in the runner's hand, and which go back to the broker meanwhile.

A job that may start within a moment waits here, held like every message of this runner; all others are parked at the
broker until it is likely their turn, so they neither take room here nor keep other tasks waiting. A token is taken only
when a slot is free, so it stands for a start.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from tq_core import clock
from tq_core.contracts.broker import Park
from tq_core.errors import BackendError
from tq_core.runner.job import Job
from tq_core.runner.rates import DEPLOYMENT, Rate, rate_of

if TYPE_CHECKING:
    from tq_core.contracts.coordination import Coordination
    from tq_core.runner.buckets import Buckets
    from tq_core.runner.reservations import Reservations
    from tq_core.task import Task

logger = logging.getLogger("tq.worker.rates")

#: Seconds for which a job is kept here at most before it may start. Longer than the way to the broker and back.
_SOON = 0.25
#: Seconds until a store that did not answer is asked again.
_STORE_AWAY = 1.0
#: Longest name that is a key of the store as it is.
_LONGEST_NAME = 200

#: The verdict on a job that waits here.
KEPT = object()


class Line:
    """The jobs of one task with a limit that wait here.

    Attributes:
        name: of the task.
        rate: its limit.
        jobs: the first one starts first.
        opens: monotonic seconds before which there is no token.
    """

    __slots__ = ("jobs", "name", "opens", "rate")

    def __init__(self, name: str, rate: Rate) -> None:
        self.name = name
        self.rate = rate
        self.jobs: deque[Job] = deque()
        self.opens = 0.0


class Throttle:
    """Keeps the rate limits of a runner's tasks. Used by its transport thread only.

    Args:
        buckets: of the node.
        coordination: returns where the buckets of the whole deployment are.
        reservations: tells what is free, and is told how many jobs wait here.
        patience: seconds a job may wait for a slot once there is a token for it.

    Attributes:
        lines: of the tasks that have a limit, by name; empty where none has.
    """

    def __init__(
        self,
        buckets: Buckets,
        coordination: Callable[[], Coordination],
        reservations: Reservations,
        patience: float,
    ) -> None:
        self._buckets = buckets
        self._coordination = coordination
        self._reservations = reservations
        self._patience = patience
        self._tasks: dict[str, Task] = {}
        self._starved_since = 0.0
        self.lines: dict[str, Line] = {}

    @property
    def starved(self) -> bool:
        """True while a job has its turn but no slot; nothing more is to be received until it has one."""
        return self._starved_since > 0.0

    def consider(self, task: Task) -> None:
        """Keep the limit of a task, if it has one; called when the task's plan is made."""
        self._tasks[task.name] = task
        try:
            rate = rate_of(task.rate_limit, task.rate_limit_scope)
        except ValueError as error:  # of a task that was made, or given its limit, after the worker had started
            logger.error("Task %s runs without a rate limit: %s", task.name, error)
            return
        if rate is not None:
            self.lines[task.name] = Line(task.name, rate)

    def refresh(self) -> list[Job]:
        """Look at the limits again, and return the jobs that waited here."""
        jobs = self.withdraw()
        self.lines.clear()
        for task in list(self._tasks.values()):
            self.consider(task)
        return jobs

    def judge(self, line: Line, job: Job, ahead: int) -> Any:
        """Decide about a job that has just been received.

        Args:
            line: of its task.
            job: the job.
            ahead: how many jobs were admitted together with it, before it.

        Returns:
            None when it starts now, :data:`KEPT` when it waits here, or a ``Park``.
        """
        free = self._reservations.free_slots() - ahead
        if not line.jobs and free > 0 and self._take(line) == 0.0:
            return None
        wait = max(0.0, line.opens - monotonic())
        if wait + len(line.jobs) * line.rate.interval <= _SOON and self._reservations.may_keep():
            line.jobs.append(job)
            self._reservations.waiting += 1
            return KEPT
        return self._send_away(line, job, wait)

    def turn(self) -> tuple[list[Job], list[Park], list[Job]]:
        """Look at what waits.

        Returns:
            the jobs that start now; endings of those whose turn has moved on; those to be given back, because they
            have waited for a slot for too long.
        """
        starting: list[Job] = []
        parked: list[Park] = []
        free = self._reservations.free_slots()
        now = monotonic()
        starved = False
        for line in self.lines.values():
            while line.jobs and line.opens <= now:
                if free <= 0:
                    starved = True
                    break
                wait = self._take(line)
                if wait == 0.0:
                    starting.append(line.jobs.popleft())
                    free -= 1
                elif wait > _SOON:  # other runners of the node have been faster
                    parked += [self._send_away(line, job, wait) for job in line.jobs]
                    line.jobs.clear()
        self._reservations.waiting -= len(starting) + len(parked)
        if not starved:
            self._starved_since = 0.0
            return starting, parked, []
        if not self._starved_since:
            self._starved_since = now
        elif now - self._starved_since > self._patience:
            return starting, parked, self.withdraw()
        return starting, parked, []

    def withdraw(self) -> list[Job]:
        """Take out all jobs that wait here, in order."""
        jobs: list[Job] = []
        for line in self.lines.values():
            jobs += line.jobs
            line.jobs.clear()
        self._reservations.waiting = 0
        self._starved_since = 0.0
        return jobs

    def next_in(self) -> float:
        """Return the seconds until :meth:`turn` has something to do; only where jobs wait."""
        now = monotonic()
        if self._starved_since:
            return max(0.0, self._starved_since + self._patience - now)
        return max(0.0, min(line.opens for line in self.lines.values() if line.jobs) - now)

    def _take(self, line: Line) -> float:
        """Take a token: 0.0 when there was one, else the seconds until there is."""
        rate, now = line.rate, monotonic()
        if line.opens > now:
            return line.opens - now
        if rate.scope == DEPLOYMENT:
            wait = self._take_from_store(line.name, rate)
        else:
            wait = self._buckets.take(line.name, rate.per_second, rate.burst)
        line.opens = now + wait if wait else 0.0
        return wait

    def _take_from_store(self, name: str, rate: Rate) -> float:
        try:
            return self._coordination().take(_key(name), rate.per_second, rate.burst)
        except BackendError as error:
            # Not started rather than started too often: nobody knows what the others do.
            logger.warning("The rate limit of %s cannot be asked for, its tasks wait: %s", name, error)
            return _STORE_AWAY

    def _send_away(self, line: Line, job: Job, wait: float) -> Park:
        away = self._buckets.send_away(line.name, line.rate.interval, wait)
        return Park(job.tag, clock.now() + away)


def _key(name: str) -> str:
    """Return the store's name of a task's bucket, which not every store lets be long."""
    if len(name) > _LONGEST_NAME:
        name = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
    return f"rate-limit:{name}"
