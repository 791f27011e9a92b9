"""What becomes of the messages of a runner that died.

The supervisor saw the process end, so nobody has to wait for its lease: what it had only reserved goes back at once,
and
the task it ran is recorded as lost, delivered again, or buried.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tq_core import signals, states
from tq_core.contracts.backend import ResultRecord
from tq_core.contracts.broker import Requeue, Settlement
from tq_core.errors import TaskRevokedError, TimeLimitExceeded, TQError, WorkerLostError
from tq_core.message import Delivery
from tq_core.outcome import Buried, Failed, Outcome, Revoked, Succeeded
from tq_core.protocol.exception import describe_exception
from tq_core.request import Request
from tq_core.result_stores import fetch, store
from tq_core.runner.board import BusySlot, shown_id
from tq_core.runner.entry import EXIT_BROKEN
from tq_core.runner.execution import EXIT_ROBBED
from tq_core.runner.job import Job
from tq_core.runner.settlement import Settler
from tq_core.timeutil import now
from tq_core.tracing import TaskPlan

if TYPE_CHECKING:
    from tq_core.app import Celery

logger = logging.getLogger("tq.worker")


@dataclass(frozen=True, slots=True)
class Death:
    """How a runner ended.

    Attributes:
        consumer_id: its consumer's name at the broker.
        exitcode: of the process; negative for a signal.
        busy: what its slots were running.
        overdue: id and hard limit in seconds of the task it was killed for, or None.
        terminated: id of the task it was killed for because that was revoked, with the signal's number, or None.
        shutdown: it was killed because the whole worker stops at once.
    """

    consumer_id: str
    exitcode: int
    busy: Sequence[BusySlot]
    overdue: tuple[str, float] | None = None
    shutdown: bool = False
    terminated: tuple[str, int] | None = None

    @property
    def condemned(self) -> str | None:
        """Id, as on the board, of the task for which the process was killed, None where it was for none."""
        found = self.overdue or self.terminated
        return None if found is None else found[0]

    @property
    def cause(self) -> str:
        """The end of the process in words."""
        if self.exitcode < 0:
            number = -self.exitcode
            try:
                return f"signal {number} ({signal.Signals(number).name})"
            except ValueError:
                return f"signal {number}"
        if self.exitcode == EXIT_ROBBED:
            return "it had closed file descriptors that were not its own."
        return f"exitcode {self.exitcode}"


class Aftermath:
    """Settles what dead runners left behind. Used by the supervisor's main thread.

    Args:
        app: the application.
        node: the worker's node name.
    """

    def __init__(self, app: Celery, node: str) -> None:
        conf = app.conf
        self._app = app
        self._node = node
        self._max_deliveries = int(conf.task_max_deliveries or 0)
        self._read = app.message_reader()

    def settle(self, death: Death) -> None:
        """Give every message of a dead runner its ending.

        Raises:
            BrokerError, BackendError: not everything could be written; may be called again.
        """
        app = self._app
        succession = app.broker.succeed(death.consumer_id)
        try:
            running = {slot.task_id: slot for slot in death.busy}
            ended: list[tuple[Job, Outcome]] = []
            returned: list[Settlement] = []
            held = succession.held()
            earlier = self._earlier_records(held)
            for delivery in held:
                verdict = self._judge(delivery, death, running, earlier)
                if isinstance(verdict, Requeue):
                    returned.append(verdict)
                else:
                    ended.append(verdict)
            settler = Settler(
                # The dead runner's own name: a chord it had claimed is this heir's at once.
                app,
                app.backend,
                succession.settle,
                hostname=self._node,
                claimant=death.consumer_id,
            )
            settler.settle(ended, returned)
        finally:
            succession.close()
        if not app.broker.capabilities.orphans:
            self._record_forgotten(death, running)

    def _earlier_records(self, held: Sequence[Delivery]) -> Mapping[str, ResultRecord]:
        messages = [delivery.message for delivery in held if delivery.message is not None]
        if not messages:
            return {}
        app, ids = self._app, [message.id for message in messages]
        return fetch(app.backend, ids, [message.headers.get("task") for message in messages], app.tasks)

    def _judge(
        self,
        delivery: Delivery,
        death: Death,
        running: dict[str, BusySlot],
        earlier: Mapping[str, ResultRecord],
    ) -> Requeue | tuple[Job, Outcome]:
        envelope = delivery.message
        condemned = envelope is not None and death.condemned == shown_id(envelope.id)
        record = earlier.get(envelope.id) if envelope is not None else None
        done = record is not None and record.state == states.SUCCESS
        if envelope is None or not (shown_id(envelope.id) in running or delivery.orphaned or condemned or done):
            # A broken runner fell over something it had received, which must not break runners for ever.
            return Requeue(delivery.tag, uncounted=death.exitcode != EXIT_BROKEN)
        running.pop(shown_id(envelope.id), None)
        try:
            message = self._read(envelope)
            plan = TaskPlan(self._app.tasks[message.name])
        except TQError:
            return Requeue(delivery.tag)  # whoever receives it next says what is wrong with it
        job = Job(delivery, message, plan)
        job.late = bool(plan.task.acks_late)
        if done and record is not None:
            # It had run to its end; what may be missing is its callbacks and the acknowledgement.
            return job, Succeeded(record.result, 0.0)
        if condemned and death.terminated is not None:
            return job, Revoked("terminated", signum=death.terminated[1])
        if condemned and death.overdue is not None:
            limit = death.overdue[1]
            logger.error("Hard time limit (%ss) exceeded for %s[%s]", limit, message.name, message.id)
            return job, Failed(TimeLimitExceeded(limit), f"TimeLimitExceeded({limit},)\n")
        if job.late and death.shutdown:
            return Requeue(delivery.tag, uncounted=True)
        if job.late and death.condemned is not None:
            # An innocent neighbour of the task that had to be stopped.
            return Requeue(delivery.tag, uncounted=True)
        text = f"Worker exited prematurely: {death.cause} Job: {message.id}."
        if job.late and plan.task.reject_on_worker_lost:
            if self._max_deliveries and delivery.delivery_count >= self._max_deliveries:
                reason = f"killed its worker {delivery.delivery_count} times: {death.cause}"
                return job, Buried(reason, WorkerLostError(text))
            logger.error("Task %s[%s] is delivered again: %s", message.name, message.id, text)
            return Requeue(delivery.tag)
        return job, Failed(WorkerLostError(text), f"WorkerLostError: {text}\n")

    def _record_forgotten(self, death: Death, running: dict[str, BusySlot]) -> None:
        """Record tasks that the broker forgot when they began: all that is left of them is on the board."""
        records, names = [], []
        for slot in running.values():
            task = self._app.tasks.get(slot.task_name)
            if task is None or task.acks_late or task.ignore_result:
                continue
            error: BaseException = WorkerLostError(f"Worker exited prematurely: {death.cause} Job: {slot.task_id}.")
            state = states.FAILURE
            if death.terminated is not None and death.terminated[0] == slot.task_id:
                state, error = states.REVOKED, TaskRevokedError("terminated")
                signals.task_revoked.send(
                    task, request=Request(id=slot.task_id), terminated=True, signum=death.terminated[1], expired=False
                )
            if death.overdue is not None and death.overdue[0] == slot.task_id:
                error = TimeLimitExceeded(death.overdue[1])
            logger.error("Task %s[%s] raised unexpected: %r", slot.task_name, slot.task_id, error)
            failure = describe_exception(error)
            # Where its caller is to hear of it went with the message.
            done = now().isoformat()
            records.append(ResultRecord(slot.task_id, state, failure, date_done=done, reply_to=""))
            names.append(slot.task_name)
        if records:
            store(self._app, records, names)
