"""A delivery on its way through a runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tq_core.message import Delivery
from tq_core.request import Request
from tq_core.tracing import TaskPlan

if TYPE_CHECKING:
    from tq_core.protocol.task import TaskMessage
    from tq_core.task import Task


class Job:
    """One task to run, from intake to settlement.

    Written by one thread at a time: the transport thread, then the pool's thread that runs it, then the
    transport thread again.

    Attributes:
        delivery: the message as received.
        message: the decoded task message; None when it could not be decoded.
        plan: the task; None when it is not known here.
        task_id: the task's id, or "" when the message has none.
        task_name: the task's name, or "".
        late: acknowledge after the run.
        time_limit, soft_time_limit: seconds, or None.
        started: monotonic seconds, 0.0 until it starts.
        ended: its outcome has been reported.
        interruptible: the task's own code runs right now.
        throw: raises an error where the task's coroutine awaits; None while there is none. From any thread.
        request: the run as the task sees it, once it has started.
    """

    __slots__ = (
        "delivery",
        "ended",
        "interruptible",
        "late",
        "message",
        "plan",
        "request",
        "soft_time_limit",
        "started",
        "task_id",
        "task_name",
        "throw",
        "time_limit",
    )

    def __init__(self, delivery: Delivery, message: TaskMessage | None, plan: TaskPlan | None) -> None:
        self.delivery = delivery
        self.message = message
        self.plan = plan
        self.task_id = message.id if message is not None else ""
        self.task_name = message.name if message is not None else ""
        self.late = False
        self.time_limit: float | None = None
        self.soft_time_limit: float | None = None
        self.started = 0.0
        self.ended = False
        self.interruptible = False
        self.throw: Callable[[type[BaseException]], None] | None = None
        self.request: Request | None = None

    @property
    def is_coroutine(self) -> bool:
        """True for an ``async def`` task."""
        return self.plan is not None and self.plan.is_coroutine

    @property
    def tag(self) -> Any:
        """What the broker knows the delivery by."""
        return self.delivery.tag

    @property
    def reply_to(self) -> str:
        """Where its caller hears of its result, or ""."""
        return self.delivery.message.reply_to if self.delivery.message is not None else ""

    def __repr__(self) -> str:
        return f"<Job {self.task_name}[{self.task_id}]>"


def task_of(job: Job) -> Task | None:
    """Return a job's task, or None when it is not known here."""
    return job.plan.task if job.plan is not None else None


def request_of(job: Job, hostname: str, *, loglevel: int | None = None, logfile: str | None = None) -> Request:
    """Return what the task will see as ``self.request``."""
    message = job.message
    delivery = job.delivery
    envelope = delivery.message
    assert message is not None
    assert envelope is not None
    extra = message.extra
    request = Request()
    # Set as it is: keyword arguments would be copied twice, and this is done for every task.
    request.__dict__ = {
        "id": message.id,
        "task": message.name,
        "args": message.args,
        "kwargs": message.kwargs,
        "retries": message.retries,
        "delivery_info": {
            "exchange": envelope.exchange,
            "routing_key": envelope.routing_key or delivery.queue,
            "priority": envelope.priority,
            "redelivered": delivery.redelivered,
        },
        "properties": dict(envelope.properties),
        "hostname": hostname,
        "called_directly": False,
        "eta": message.headers.get("eta"),
        "expires": message.headers.get("expires"),
        "timelimit": [message.time_limit, message.soft_time_limit],
        "group": message.group,
        "group_index": message.group_index,
        "chord": message.chord,
        "chain": message.chain,
        "callbacks": message.callbacks,
        "errbacks": message.errbacks,
        "root_id": message.root_id,
        "parent_id": message.parent_id,
        "headers": extra or None,
        "serializer": envelope.content_type,
        "reply_to": envelope.reply_to,
        "correlation_id": message.id,
        "origin": message.origin,
        "shadow": message.shadow,
        "argsrepr": message.argsrepr,
        "kwargsrepr": message.kwargsrepr,
        "ignore_result": message.ignore_result,
        "replaced_task_nesting": message.replaced_task_nesting,
        "stamps": message.stamps,
        "stamped_headers": message.stamped_headers,
        "redelivered": delivery.redelivered,
        "loglevel": loglevel,
        "logfile": logfile,
        "task_object": job.plan.task if job.plan is not None else None,
    }
    if envelope.exchange:
        request.delivery_info["queue"] = delivery.queue  # type: ignore[index]  # it was made above
    if extra:
        known = request.__dict__
        for name, value in extra.items():
            if name.isidentifier() and name not in known and not hasattr(Request, name):
                known[name] = value
    return request
