"""Running what waits in the queues here and now, in the calling thread, through the stations of a real worker."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tq_core.outcome import Buried, Failed, Outcome, Retried, Succeeded
from tq_core.pools.solo import SoloPool
from tq_core.runner.board import Board
from tq_core.runner.execution import TaskExecution
from tq_core.runner.intake import Intake
from tq_core.runner.job import Job
from tq_core.runner.limits import Limits
from tq_core.runner.revocations import Revocations
from tq_core.runner.settlement import Settler
from tq_core.timeutil import now
from tq_core.worker.options import node_name

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.contracts.broker import Consumer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a task.

    Attributes:
        task: its name.
        id: its id.
        args, kwargs: its arguments.
        state: how it ended: ``SUCCESS``, ``FAILURE``, ``RETRY``, ``REVOKED``, ``IGNORED``, ``REJECTED``.
        result: what it returned; for a failure or retry the exception.
        at: when it ended, by the clock in use.
    """

    task: str
    id: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    state: str
    result: Any
    at: datetime


class TooManyRuns(AssertionError):
    """More tasks ran than a test allows: one that enqueues itself has no end."""


class Drain:
    """Runs what waits in an application's queues.

    Messages are received, decoded, judged, run, recorded and settled as a worker does it, one after the other; retries,
    callbacks, chains and chords follow. Limits of time and rate are not kept: a task that never ends does not end here.

    Args:
        app: the application. No other worker should be at its queues.
    """

    def __init__(self, app: Celery) -> None:
        app.finalize()
        self._app = app
        self._id = f"drain:{uuid.uuid4().hex[:12]}"
        self._intake = Intake(
            app.tasks,
            app.message_reader(),
            app.backend,
            max_deliveries=app.conf.task_max_deliveries,
            revoked=Revocations(),
            listeners=app.plugins.observers("tq_task_received"),
        )

    def run(self, *, limit: int = 1000, propagate: bool = True) -> list[Run]:
        """Run what is due and what follows from it, until nothing is left.

        Inside a running event loop the tasks run in another thread, so that ``async def`` tasks have a loop of
        their own; the caller's loop waits.

        Args:
            limit: most runs.
            propagate: after all has run, raise the error of the first task that failed.

        Returns:
            the runs in order.

        Raises:
            TooManyRuns: ``limit`` was reached.
            Exception: what the first failed task raised.
        """
        __tracebackhide__ = True
        runs = _outside_of_loops(lambda: self._run(limit))
        failure = next((run.result for run in runs if run.state == "FAILURE"), None)
        if propagate and failure is not None:
            raise failure
        return runs

    def _run(self, limit: int) -> list[Run]:
        app = self._app
        consumer = app.broker.consumer((), consumer_id=self._id)
        settler = Settler(app, app.backend, consumer.settle, hostname=node_name("drain@%h"), claimant=self._id)
        board = Board(1, 1)
        execution = self._execution(board)
        runs: list[Run] = []
        try:
            while ended := self._next(consumer, settler, execution):
                runs += ended
                if len(runs) >= limit:
                    raise TooManyRuns(
                        f"{limit} tasks have run and there is no end; the last was {runs[-1].task}. "
                        "A task that enqueues itself never ends; a larger number can be given as limit=…"
                    )
            return runs
        finally:
            consumer.close()
            board.close()

    def _execution(self, board: Board) -> TaskExecution:
        pool = SoloPool(1)  # never started: the jobs run here, and none is given a limit to watch
        return TaskExecution(
            board.row(0),
            Limits(pool, lambda job, outcome: None),
            node_name("drain@%h"),
            on_started=self._app.plugins.observers("tq_task_started"),
            on_finished=self._app.plugins.observers("tq_task_finished"),
        )

    def _next(self, consumer: Consumer, settler: Settler, execution: TaskExecution) -> list[Run]:
        """Run the next message and return its run; nothing when there is no message."""
        while True:
            consumer.set_queues(self._app.broker.queues())  # what ran last may have made another queue
            deliveries = consumer.receive(1, 0.0)
            if not deliveries:
                return []
            admission = self._intake.admit(deliveries)
            for job in admission.jobs:
                job.time_limit = job.soft_time_limit = None
            ended = [*((job, execution.run(job)) for job in admission.jobs), *admission.ended]
            settler.settle(ended, admission.parked)
            if ended:
                return [_run_of(job, outcome) for job, outcome in ended]


def _run_of(job: Job, outcome: Outcome) -> Run:
    message = job.message
    args, kwargs = ((), {}) if message is None else (message.args, message.kwargs)
    result = None
    if isinstance(outcome, Succeeded):
        result = outcome.value
    elif isinstance(outcome, (Failed, Buried)):
        result = outcome.error
    elif isinstance(outcome, Retried):
        result = outcome.error.exc or outcome.error
    return Run(job.task_name, job.task_id, args, kwargs, outcome.state, result, now())


def _outside_of_loops(function: Callable[[], T]) -> T:
    """Call a function in this thread, or in another one while this thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function()
    outcome: list[T] = []
    raised: list[BaseException] = []
    context = copy_context()

    def call() -> None:
        try:
            outcome.append(context.run(function))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call, name="Drain")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return outcome[0]
