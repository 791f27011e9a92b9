"""The runner: the process in which a message is received, run and settled.

It is put together from parts in order, and taken down in the reverse order: pool, limits, execution, intake,
settlement, transport thread, mailbox. Its main thread belongs to the pool.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from tq_core.contracts.pool import Pool
from tq_core.outcome import Outcome
from tq_core.runner.board import Board
from tq_core.runner.consumer import Rhythm, TransportThread
from tq_core.runner.execution import TaskExecution
from tq_core.runner.intake import Intake
from tq_core.runner.job import Job
from tq_core.runner.limits import Limits
from tq_core.runner.mailbox import Mailbox
from tq_core.runner.memory import resident_kib
from tq_core.runner.reservations import Reservations
from tq_core.runner.revocations import Revocations, Stamp, carries
from tq_core.runner.settlement import Settler
from tq_core.runner.throttle import Throttle

if TYPE_CHECKING:
    from tq_core.app import Celery

logger = logging.getLogger("tq.worker")


@dataclass(frozen=True, slots=True)
class RunnerSpec:
    """What a runner is told when it starts.

    Attributes:
        number: its row on the board.
        consumer_id: names its consumer at the broker; new for each process.
        node: the worker's node name.
        queues: names of the queues to receive from.
        pool: name of the pool.
        slots: slots of the pool.
        prefetch: most messages held, 0 to adapt.
        max_tasks: tasks after which the runner ends, 0 for ever.
        max_memory: resident KiB after which it ends, 0 for ever.
        loglevel, logfile: of the worker, shown to tasks.
        board: path of the board's file, its number of runners and slots.
        revoked: ids of tasks that must not run.
        stamps: tasks that carry one of these must not run.
        changes: attributes of tasks that were changed since the worker started, by name of the task.
    """

    number: int
    consumer_id: str
    node: str
    queues: tuple[str, ...]
    pool: str
    slots: int
    prefetch: int = 0
    max_tasks: int = 0
    max_memory: int = 0
    loglevel: int | None = None
    logfile: str | None = None
    board: tuple[str, int, int] | None = None
    revoked: tuple[str, ...] = ()
    stamps: tuple[Stamp, ...] = ()
    changes: tuple[tuple[str, Mapping[str, Any]], ...] = ()


class Runner:
    """One runner. Made and run in the thread that will run the tasks of a solo pool.

    Args:
        app: the application, with its tasks imported.
        spec: what to do.
        board: where to note it.
        connection: to the supervisor; None for a runner that lives in somebody's test.

    Attributes:
        app: the application.
        hostname: the worker's node name.
    """

    def __init__(self, app: Celery, spec: RunnerSpec, board: Board, connection: Connection | None = None) -> None:
        conf = app.conf
        self.app = app
        self.hostname = spec.node
        self._spec = spec
        self._finished_tasks = 0
        self._ready = threading.Event()
        broker, backend = app.broker, app.backend
        self._pool: Pool = app.plugins.pool_class(spec.pool)(spec.slots)
        self._limits = limits = Limits(self._pool, self._report)
        intact = _watch_over(connection)
        self._execution = TaskExecution(
            board.row(spec.number),
            limits,
            spec.node,
            loglevel=spec.loglevel,
            logfile=spec.logfile,
            on_started=app.plugins.observers("tq_task_started"),
            on_finished=app.plugins.observers("tq_task_finished"),
            intact=intact,
        )
        self._tasks = app.tasks
        for name, values in spec.changes:
            self._change_task(name, values)
        self._revoked = Revocations(
            spec.revoked, spec.stamps, lifetime=conf.worker_revoke_expires, most=conf.worker_revokes_max
        )
        reservations = Reservations(spec.slots, conf.worker_reservation_patience, spec.prefetch, total=spec.max_tasks)
        throttle = Throttle(board.buckets, backend.coordination, reservations, conf.worker_reservation_patience)
        intake = Intake(
            app.tasks,
            app.message_reader(),
            backend,
            max_deliveries=conf.task_max_deliveries,
            revoked=self._revoked,
            throttle=None if conf.worker_disable_rate_limits else throttle,
            listeners=app.plugins.observers("tq_task_received"),
            sender=self,
        )
        consumer = broker.consumer(spec.queues, consumer_id=spec.consumer_id, prefetch=spec.prefetch)
        settler = Settler(app, backend, consumer.settle, hostname=spec.node, claimant=spec.consumer_id)
        self._transport = TransportThread(
            consumer,
            intake,
            self._pool,
            settler,
            backend,
            reservations,
            throttle,
            node=spec.node,
            pid=os.getpid(),
            finished=self._pool.stop,
            on_ended=self._count,
            intact=intact,
            rhythm=Rhythm(renew=max(0.2, conf.lease_duration / 4)),
        )
        self._mailbox: Mailbox | None = None
        if connection is not None:
            words: dict[str, Callable[..., Any]] = {
                "drain": self.drain,
                "revoke": self.revoke,
                "terminate": self.terminate,
                "change": self.change,
            }
            self._mailbox = Mailbox(connection, words, orphaned=self._orphaned)

    def run(self) -> bool:
        """Work until drained; the calling thread belongs to the pool meanwhile.

        Returns:
            False when the transport thread failed, so that not everything received has its ending.
        """
        self._pool.start(self._execution, self._report)
        self._transport.start()
        if self._mailbox is not None:
            self._mailbox.start()
            self._mailbox.say("ready", os.getpid())
        self._ready.set()
        self._pool.serve()
        self._transport.join()
        self._limits.close()
        if "tq_core.coroutines" in sys.modules:
            # Only where coroutines have run: importing asyncio to close nothing would cost every runner its time.
            sys.modules["tq_core.coroutines"].close_kept_loops()
        if self._mailbox is not None:
            self._mailbox.say("finished", self._finished_tasks)
        return not self._transport.broken

    def wait_ready(self, timeout: float) -> bool:
        """Wait until the runner receives; False after ``timeout`` seconds."""
        return self._ready.wait(timeout)

    def drain(self) -> None:
        """Finish what runs, give back what does not, and let :meth:`run` return. May be called from any thread."""
        self._transport.drain()

    def revoke(self, ids: Iterable[str], stamps: Iterable[Stamp] = ()) -> None:
        """Run none of these tasks that has not started yet. Called by one thread, the mailbox."""
        self._revoked.update(ids, stamps)
        self._transport.reconsider()

    def terminate(self, ids: Iterable[str], stamps: Iterable[Stamp], signum: int) -> tuple[list[str], int] | None:
        """Stop running tasks. Called by one thread, the mailbox.

        Args:
            ids: of the tasks.
            stamps: tasks that carry one of these are meant as well.
            signum: number of the signal; ``SIGUSR1`` does what the soft time limit does.

        Returns:
            ids of those that run here and carry a stamp, and the number; None where there are none.
        """
        wanted, stamped = set(ids), {Stamp(*stamp) for stamp in stamps}
        found: list[str] = []
        for job in self.running():
            if stamped and job.message is not None and carries(job.message, stamped.__contains__):
                found.append(job.task_id)
            elif job.task_id not in wanted:
                continue
            if signum == getattr(signal, "SIGUSR1", None):
                self._limits.interrupt(job)
            else:
                self._limits.terminate(job, signum)
        return (found, signum) if found else None

    def change(self, name: str, values: Mapping[str, Any]) -> None:
        """Change attributes of a task, such as its limits. Called by one thread, the mailbox."""
        self._change_task(name, values)
        self._transport.reconsider()

    def _change_task(self, name: str, values: Mapping[str, Any]) -> None:
        if name in self._tasks:
            for attribute, value in values.items():
                setattr(self._tasks[name], attribute, value)

    def running(self) -> list[Job]:
        """Return the jobs that run now. May be called from any thread."""
        return list(self._execution.running)

    def _report(self, job: Job, outcome: Outcome) -> None:
        if self._limits.terminated:
            outcome = self._limits.outcome(job, outcome)
        self._transport.report(job, outcome)

    def _orphaned(self) -> None:
        logger.error("The supervisor is gone; this runner finishes what it runs and ends")
        self.drain()

    def _count(self, tasks: int) -> None:
        """End the process when it has run its share; called by the transport thread."""
        self._finished_tasks += tasks
        spec = self._spec
        if spec.max_tasks and self._finished_tasks >= spec.max_tasks:
            self.drain()
        elif spec.max_memory and resident_kib() > spec.max_memory:
            logger.warning("This runner uses more than %d KiB; a new process takes its place", spec.max_memory)
            self.drain()


def _watch_over(connection: Connection | None) -> Callable[[], bool]:
    """Return what tells whether the pipe to the supervisor is still that pipe.

    A task may close descriptors that are not its own. Then the pipe's has gone the way of the broker's, or its number
    belongs to another file by now.
    """
    if connection is None:
        return lambda: True
    number = connection.fileno()
    opened = os.fstat(number)

    def intact() -> bool:
        try:
            return os.path.samestat(os.fstat(number), opened)
        except OSError:
            return False

    return intact
