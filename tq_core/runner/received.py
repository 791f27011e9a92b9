"""What receivers of signals see of a delivery: Celery's worker request, and kombu's message.

Made only where somebody listens, in the transport thread.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tq_core.message import Delivery
from tq_core.runner.job import request_of
from tq_core.timeutil import from_unix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tq_core.app import Celery
    from tq_core.request import Request
    from tq_core.runner.job import Job
    from tq_core.task import Task


class ReceivedMessage:
    """A message as the broker handed it over.

    Args:
        delivery: the delivery.

    Attributes:
        body: its bytes; the whole envelope where it cannot be read.
        headers, properties: of the message; empty where the envelope cannot be read.
        content_type, content_encoding: of the body, or None.
        delivery_info: ``exchange``, ``routing_key``, ``priority`` and ``redelivered``.
        delivery_tag: names the delivery.
    """

    def __init__(self, delivery: Delivery) -> None:
        message = delivery.message
        self.delivery_tag = delivery.tag
        self.body: bytes = delivery.raw if message is None else message.body
        self.headers: dict[str, Any] = {} if message is None else dict(message.headers)
        self.properties: dict[str, Any] = {}
        self.content_type: str | None = None
        self.content_encoding: str | None = None
        self.delivery_info: dict[str, Any] = {
            "exchange": "",
            "routing_key": delivery.queue,
            "priority": None,
            "redelivered": delivery.redelivered,
        }
        if message is not None:
            self.content_type = message.content_type
            self.content_encoding = message.content_encoding
            self.properties = {**message.properties, "correlation_id": message.id, "reply_to": message.reply_to}
            self.delivery_info["exchange"] = message.exchange
            self.delivery_info["routing_key"] = message.routing_key or delivery.queue
            self.delivery_info["priority"] = message.priority

    def __repr__(self) -> str:
        return f"<ReceivedMessage: {self.delivery_info['routing_key']} {len(self.body)} bytes>"


class ReceivedRequest:
    """A task that a worker is going to run.

    Args:
        app: the application.
        job: the task, its message decoded.
        hostname: the worker's node name.
    """

    def __init__(self, app: Celery, job: Job, hostname: str) -> None:
        self.app = app
        self.hostname = hostname
        self._job = job

    @cached_property
    def _context(self) -> Request:
        return request_of(self._job, self.hostname)

    def __getattr__(self, name: str) -> Any:
        # What the task will see as self.request: id, args, kwargs, root_id, parent_id, group, argsrepr …
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._context, name)

    @property
    def task(self) -> Task | None:
        """The task."""
        return self._job.plan.task if self._job.plan is not None else None

    @property
    def name(self) -> str:
        """The task's registered name."""
        return self._job.task_name

    type = task_name = name

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._job.task_id

    @property
    def eta(self) -> datetime | None:
        """When it was due."""
        message = self._job.message
        return None if message is None or message.eta is None else from_unix(message.eta)

    @property
    def expires(self) -> datetime | None:
        """When it expires."""
        message = self._job.message
        return None if message is None or message.expires is None else from_unix(message.expires)

    @property
    def time_limits(self) -> list[float | None]:
        """Hard and soft limit in seconds, of the message."""
        limits: list[float | None] = list(self._context.timelimit)
        return limits

    @cached_property
    def message(self) -> ReceivedMessage:
        """The message it came in."""
        return ReceivedMessage(self._job.delivery)

    @property
    def request_dict(self) -> Mapping[str, Any]:
        """What the task will see as ``self.request``, as a mapping."""
        return dict(vars(self._context))

    def info(self, safe: bool = False) -> dict[str, Any]:
        """Return what monitors show of it.

        Args:
            safe: texts instead of the arguments.
        """
        context = self._context
        return {
            "id": self.task_id,
            "name": self.name,
            "args": context.argsrepr if safe else context.args,
            "kwargs": context.kwargsrepr if safe else context.kwargs,
            "type": self.name,
            "hostname": self.hostname,
            "time_start": None,
            "acknowledged": False,
            "delivery_info": context.delivery_info,
            "worker_pid": None,
        }

    def humaninfo(self) -> str:
        """Return name and id."""
        return f"{self.name}[{self.task_id}]"

    def __str__(self) -> str:
        return self.humaninfo()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.humaninfo()} {self._context.argsrepr} {self._context.kwargsrepr}>"
