"""Station 6: what becomes of a delivery — run it, keep it for its rate limit, park it, or end it without a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tq_core import clock, signals, states
from tq_core.contracts.broker import Park
from tq_core.errors import BackendError, NotRegistered, TQError, WorkerLostError
from tq_core.message import Delivery
from tq_core.outcome import Buried, Failed, Outcome, Revoked, Succeeded
from tq_core.result_stores import fetch
from tq_core.runner import narration
from tq_core.runner.job import Job
from tq_core.runner.received import ReceivedMessage, ReceivedRequest
from tq_core.runner.throttle import KEPT
from tq_core.tracing import TaskPlan

if TYPE_CHECKING:
    from tq_core.contracts.backend import Backend, ResultRecord
    from tq_core.message import Message
    from tq_core.protocol.task import TaskMessage
    from tq_core.runner.revocations import Revocations
    from tq_core.runner.throttle import Line, Throttle
    from tq_core.task import Task

logger = logging.getLogger(__name__)

#: A message due within this many seconds is not worth parking again: the wait is shorter than the round trip.
_ALMOST_DUE = 0.002


class Admission:
    """What the intake decided about one batch.

    Attributes:
        jobs: to be run, in order.
        parked: to be handed back until they are due.
        ended: jobs that got their outcome without a run.
    """

    __slots__ = ("ended", "jobs", "parked")

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.parked: list[Park] = []
        self.ended: list[tuple[Job, Outcome]] = []


class Intake:
    """Decides about deliveries. Used by the runner's transport thread only.

    Nothing that stands in a message can make :meth:`admit` raise.

    Args:
        tasks: the application's tasks by name.
        read: decodes a message within the configured limits, or raises a ``TQError``.
        backend: asked what became of a redelivered task.
        max_deliveries: deliveries after which a message is taken for poison, 0 for no limit.
        revoked: what must not run.
        throttle: keeps rate limits; None where there are none.
        listeners: told of each admitted delivery (``tq_task_received``).
        sender: what receivers of signals get as their sender, with ``app`` and ``hostname``.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        read: Callable[[Message], TaskMessage],
        backend: Backend,
        *,
        max_deliveries: int,
        revoked: Revocations,
        throttle: Throttle | None = None,
        listeners: Sequence[Callable[[Delivery], None]] = (),
        sender: Any = None,
    ) -> None:
        self._tasks = tasks
        self._read = read
        self._backend = backend
        self._max_deliveries = max_deliveries
        self._revoked = revoked
        self._throttle = throttle
        self._lines: Mapping[str, Line] = throttle.lines if throttle is not None else {}
        self._listeners = tuple(listeners)
        self._sender = sender
        self._plans: dict[str, TaskPlan] = {}
        self._wary = False

    def admit(self, deliveries: Sequence[Delivery]) -> Admission:
        """Decide about a batch."""
        admission = Admission()
        earlier = self._earlier_records(deliveries)
        self._wary = bool(self._revoked)  # most workers have never been told to revoke anything
        now = clock.now()
        lines = self._lines
        for delivery in deliveries:
            job, verdict = self._judge(delivery, earlier, now)
            if lines and verdict is None and job.task_name in lines:
                assert self._throttle is not None
                verdict = self._throttle.judge(lines[job.task_name], job, len(admission.jobs))
            if verdict is None or verdict is KEPT:
                if verdict is not KEPT:
                    admission.jobs.append(job)
                narration.received(job)
                for listener in self._listeners:
                    listener(delivery)
                if signals.task_received.receivers:
                    sender = self._sender
                    signals.task_received.send(sender, request=ReceivedRequest(sender.app, job, sender.hostname))
            elif isinstance(verdict, Park):
                admission.parked.append(verdict)
            else:
                admission.ended.append((job, verdict))
        return admission

    def plan(self, name: str) -> TaskPlan:
        """Return a task's plan.

        Raises:
            NotRegistered: there is no such task.
        """
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = TaskPlan(self._tasks[name])
            if self._throttle is not None:
                self._throttle.consider(plan.task)
        return plan

    def _judge(self, delivery: Delivery, earlier: Mapping[str, ResultRecord], now: float) -> tuple[Job, Any]:
        if delivery.message is None:
            error = TQError(delivery.defect or "the message cannot be read")
            self._announce_rejected(delivery, error)
            return Job(delivery, None, None), Buried(f"unreadable message: {error}", error)
        try:
            message = self._read(delivery.message)
        except TQError as error:
            return self._unreadable(delivery, error)
        try:
            plan = self.plan(message.name)
        except NotRegistered as error:
            job = Job(delivery, message, None)
            if signals.task_unknown.receivers:
                received = ReceivedMessage(delivery)
                signals.task_unknown.send(self._sender, message=received, exc=error, name=message.name, id=message.id)
            return job, Buried(
                f"unknown task {message.name!r}: no task of this name is registered in this worker", error
            )
        job = Job(delivery, message, plan)
        task = plan.task
        job.late = task.acks_late
        job.time_limit = message.time_limit if message.time_limit is not None else task.time_limit
        job.soft_time_limit = message.soft_time_limit if message.soft_time_limit is not None else task.soft_time_limit
        if _may_have_run(delivery):
            verdict = self._judge_again(job, earlier.get(message.id))
            if verdict is not None:
                return job, verdict
        if self._wary and self._revoked.forbid(message):
            return job, Revoked("revoked")
        if message.expires is not None and message.expires <= now:
            return job, Revoked("expired")
        if message.eta is not None and message.eta > now + _ALMOST_DUE:
            return job, Park(delivery.tag, message.eta)
        return job, None

    def _judge_again(self, job: Job, record: ResultRecord | None) -> Outcome | None:
        """Decide about a message that an earlier consumer had; None means it runs (again)."""
        if record is not None and record.state == states.SUCCESS:
            # It had run to its end; what may be missing is its callbacks and the acknowledgement.
            return Succeeded(record.result, 0.0)
        if job.delivery.orphaned:
            error = WorkerLostError("Worker exited prematurely while it ran the task")
            return Failed(error, "WorkerLostError: the worker died while it ran the task\n")
        limit = self._max_deliveries
        if limit and job.delivery.delivery_count > limit:
            times = job.delivery.delivery_count - 1
            text = f"delivered {times} times without an end: it seems to kill the worker that runs it"
            return Buried(text, WorkerLostError(text))
        return None

    def _unreadable(self, delivery: Delivery, error: TQError) -> tuple[Job, Outcome]:
        # Its frames and the decoder's own error hold the body, which may be large, until the collector comes by.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        self._announce_rejected(delivery, error)
        job = Job(delivery, None, None)
        assert delivery.message is not None
        job.task_id = delivery.message.id
        name = delivery.message.headers.get("task")
        job.task_name = name if isinstance(name, str) else ""
        return job, Buried(f"{type(error).__name__}: {error}", error)

    def _announce_rejected(self, delivery: Delivery, error: TQError) -> None:
        if signals.task_rejected.receivers:
            signals.task_rejected.send(self._sender, message=ReceivedMessage(delivery), exc=error)

    def _earlier_records(self, deliveries: Sequence[Delivery]) -> Mapping[str, ResultRecord]:
        """Fetch what is known about redelivered tasks; an answer that cannot be had counts as none."""
        again = [d.message for d in deliveries if d.message is not None and _may_have_run(d)]
        if not again:
            return {}
        ids = [message.id for message in again]
        try:
            return fetch(self._backend, ids, [message.headers.get("task") for message in again], self._tasks)
        except BackendError as error:
            logger.warning("Could not ask what became of %d redelivered tasks: %s", len(ids), error)
            return {}


def _may_have_run(delivery: Delivery) -> bool:
    return delivery.redelivered or delivery.orphaned or delivery.copied
