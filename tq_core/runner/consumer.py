"""Station 5 and the runner's heartbeat: the transport thread.

It alone touches the broker connection. In turn it settles what ended, keeps the lease alive, hands back what waits too
long, and receives what there is room for. It sleeps in ``receive`` while there is room and on an event while there is
none; a job that ends wakes it only when there is something to gain, so that results of short tasks leave in batches.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from tq_core import states
from tq_core.contracts.backend import Backend, ResultRecord
from tq_core.contracts.broker import Consumer, Requeue
from tq_core.contracts.pool import Pool
from tq_core.errors import BackendError, BrokerError, TQError
from tq_core.outcome import Outcome
from tq_core.request import Request
from tq_core.result_stores import shares
from tq_core.retry import delays
from tq_core.runner.intake import Intake
from tq_core.runner.job import Job, task_of
from tq_core.runner.reservations import Reservations
from tq_core.runner.settlement import Settler
from tq_core.runner.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("tq.worker.consumer")

#: While jobs wait or have just started, the loop turns at least this often (seconds), so that no result and no early
#: acknowledgement is kept back longer.
_TICK = 0.005
#: A task that ran longer than this (seconds) is settled at once: beside its own time that costs little, and a crash
#: then repeats little.
_LONG = 0.001
#: Longest sleep in seconds; a wake-up ends it at once.
_LONGEST_SLEEP = 1.0


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often things happen, in seconds.

    Attributes:
        renew: between renewals of the lease.
    """

    renew: float = 2.0


class TransportThread(threading.Thread):
    """Receives, settles and keeps the lease of one runner.

    Args:
        consumer: this runner's consumer; used by this thread only, but for ``wake``.
        intake: decides about what is received.
        pool: runs the jobs.
        settler: writes the outcomes.
        backend: told of STARTED states.
        reservations: how much may be held.
        throttle: keeps rate limits.
        node: the worker's node name, for STARTED states.
        pid: of the runner's process, likewise.
        finished: called once, in this thread, when the loop has ended.
        rhythm: how often things happen.
        on_ended: called with the number of tasks in each batch that ended.
        intact: asked after an error; False when this process has lost what it needs, and trying again is in vain.

    Attributes:
        broken: the loop has ended by an error; set before ``finished`` is called.
    """

    def __init__(
        self,
        consumer: Consumer,
        intake: Intake,
        pool: Pool,
        settler: Settler,
        backend: Backend,
        reservations: Reservations,
        throttle: Throttle,
        *,
        node: str,
        pid: int,
        finished: Callable[[], None],
        on_ended: Callable[[int], None],
        intact: Callable[[], bool],
        rhythm: Rhythm,
    ) -> None:
        super().__init__(name="Transport", daemon=True)
        self._consumer = consumer
        self._intake = intake
        self._pool = pool
        self._settler = settler
        self._backend = backend
        self._reservations = reservations
        self._throttle = throttle
        self._started_state = {"pid": pid, "hostname": node}
        self._finished = finished
        self._on_ended = on_ended
        self._intact = intact
        self.broken = False
        self._rhythm = rhythm
        self._ended: deque[tuple[Job, Outcome]] = deque()
        self._event = threading.Event()
        self._waiting = False
        self._receiving = False
        self._draining = False
        self._reconsidering = False
        self._emptied = False
        self._unannounced: list[Job] = []
        self._renew_at = 0.0

    # called from other threads

    def report(self, job: Job, outcome: Outcome) -> None:
        """Take the outcome of a job; called by the pool's threads."""
        job.ended = True
        self._ended.append((job, outcome))
        if self._waiting and (
            self._receiving or outcome.runtime > _LONG or self._pool.queued() == 0 or self._worth_a_refill()
        ):
            # Once is enough: the loop looks at all that has ended before it waits again.
            self._waiting = False
            self.nudge()

    def drain(self) -> None:
        """Receive nothing more, give back what has not started, end when what runs has ended."""
        self._draining = True
        self.nudge()

    def reconsider(self) -> None:
        """Give back what has not started, so that it is judged anew when it comes again; rate limits may be others."""
        self._reconsidering = True
        self.nudge()

    def nudge(self) -> None:
        """Let the loop turn now."""
        if self._receiving:
            self._consumer.wake()
        self._event.set()

    # the loop

    def run(self) -> None:
        """Turn until drained."""
        waits: Iterator[float] | None = None
        try:
            while True:
                try:
                    if self._turn():
                        break
                    waits = None
                except (BrokerError, BackendError) as error:
                    if not self._intact():
                        raise
                    if isinstance(error, BrokerError) and self._ended and not self._settler.pending:
                        # Others may get what this runner held, and ask whether it has run: results do not wait.
                        with suppress(BrokerError, BackendError):
                            self._settle_ended()
                    waits = delays(0.1, 2.0, 2.0) if waits is None else waits
                    pause = next(waits)
                    logger.error("%s Trying again in %.1f seconds.", _sentence(error), pause)
                    self._event.wait(pause)
                    self._event.clear()
        except BaseException:
            # Never alive and idle: without this thread the runner can do nothing, so it ends and is replaced.
            self.broken = True
            logger.critical("The transport thread failed; the runner ends", exc_info=True)
        finally:
            if not self.broken:
                # Otherwise the supervisor, who sees the exit code, settles what is held.
                self._consumer.close()
            self._finished()

    def _turn(self) -> bool:
        """Do everything there is to do once; True when drained."""
        self._renew()
        self._settle_ended()
        if self._draining:
            self._hand_back(self._throttle.withdraw())
            if not self._reservations.held and not self._ended and not self._settler.pending:
                return True
            room = 0
        else:
            if self._reconsidering:
                self._reconsidering = False
                self._hand_back(self._throttle.refresh())
            elif self._reservations.overdue_in() == 0.0:
                self._hand_back()
            if self._reservations.waiting:
                self._start_waiting()
            room = 0 if self._throttle.starved else self._reservations.room()
        self._announce_started()
        if room:
            self._receive(room)
        else:
            self._sleep()
        return False

    def _receive(self, room: int) -> None:
        if self._emptied and self._ended:
            return  # the queue has hardly filled again since; what has ended is more urgent
        self._receiving = self._waiting = True
        try:
            # Whatever ended before the flags were up did not wake anybody.
            timeout = 0.0 if self._ended or self._draining else self._patience()
            deliveries = self._consumer.receive(room, timeout)
        finally:
            self._receiving = self._waiting = False
        self._emptied = 0 < len(deliveries) < room
        if not deliveries:
            return
        if self._ended and any(delivery.redelivered or delivery.copied for delivery in deliveries):
            # What ended while the connection was lost may be among them; its result says that it must not run again.
            with suppress(BrokerError, BackendError):  # what cannot be written now is kept for the next turn
                self._settle_ended()
        admission = self._intake.admit(deliveries)
        if admission.jobs:
            self._submit(admission.jobs)
        if admission.parked or admission.ended:
            self._settler.settle(admission.ended, admission.parked)

    def _submit(self, jobs: Sequence[Job]) -> None:
        self._unannounced += [job for job in jobs if not job.late or _tracks_start(job)]
        self._reservations.submitted(len(jobs))
        self._pool.submit(jobs)

    def _start_waiting(self) -> None:
        """Start the jobs whose rate limits let them."""
        starting, parked, returned = self._throttle.turn()
        if starting:
            self._submit(starting)
        if parked or returned:
            self._settler.settle((), [*parked, *(Requeue(job.tag, uncounted=True) for job in reversed(returned))])

    def _sleep(self) -> None:
        self._waiting = True
        if not self._ended and not (self._draining and not self._reservations.held):
            self._event.wait(self._patience())
        self._waiting = False
        self._event.clear()

    def _patience(self) -> float:
        """Return how long the loop may sleep."""
        longest = min(_LONGEST_SLEEP, max(0.0, self._renew_at - monotonic()))
        if self._unannounced or self._pool.queued():
            longest = min(longest, _TICK)
        if self._reservations.waiting:
            longest = min(longest, self._throttle.next_in())
        overdue = self._reservations.overdue_in()
        return longest if overdue is None else min(longest, overdue)

    def _worth_a_refill(self) -> bool:
        """Tell whether enough jobs have ended for the next batch to be fetched."""
        return self._pool.queued() == self._reservations.held // 2

    def _renew(self) -> None:
        now = monotonic()
        if now >= self._renew_at:
            self._consumer.renew()
            self._renew_at = now + self._rhythm.renew

    def _settle_ended(self) -> None:
        self._settler.flush()
        count = len(self._ended)
        if not count:
            return
        batch = [self._ended.popleft() for _ in range(count)]
        self._reservations.ended(count)
        # Before anything can fail: a runner that has run its share must know, or it would wait for ever.
        self._on_ended(count)
        self._settler.settle(batch)

    def _hand_back(self, others: Sequence[Job] = ()) -> None:
        """Give back the reservations that have not started, and others."""
        jobs: Sequence[Job] = self._pool.withdraw()
        if not jobs and not others:
            return
        if jobs:
            self._reservations.handed_back(len(jobs))
        withdrawn = set(map(id, jobs))
        self._unannounced = [job for job in self._unannounced if id(job) not in withdrawn]
        # Last first, so that the front of the queue has them in their old order.
        self._settler.settle((), [Requeue(job.tag, uncounted=True) for job in reversed([*jobs, *others])])

    def _announce_started(self) -> None:
        """Tell broker and backend of the jobs that run by now; those that have ended need it no more."""
        if not self._unannounced:
            return
        waiting = [job for job in self._unannounced if not job.started]
        begun = [job for job in self._unannounced if job.started and not job.ended]
        early = [job.tag for job in begun if not job.late]
        if early:
            self._consumer.begin(early)
        tracked = [job for job in begun if _tracks_start(job)]
        if tracked:
            with Request.announcing:
                self._store_started([job for job in tracked if job.request is None or not job.request.has_own_state])
        self._unannounced = waiting

    def _store_started(self, jobs: Sequence[Job]) -> None:
        records = [
            ResultRecord(job.task_id, states.STARTED, self._started_state, reply_to=job.reply_to) for job in jobs
        ]
        for backend, mine, _ in shares(self._backend, records, jobs, task_of):
            if mine and backend.capabilities.stores:
                backend.store(mine)


def _tracks_start(job: Job) -> bool:
    return job.plan is not None and bool(job.plan.task.track_started)


def _sentence(error: TQError) -> str:
    text = str(error).rstrip()
    return text if text.endswith((".", "!", "?")) else text + "."
