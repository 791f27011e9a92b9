"""What a task can know of the run it is in: ``self.request``."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from tq_core.task import Task


class Request:
    """One run of one task; Celery's ``Context``.

    Belongs to the thread or coroutine that runs the task. Tasks may add attributes of their own; they live as
    long as the run. Every attribute below has its class value where nothing else is known, so that reading one is
    never an error, also in a task that was called directly.

    Attributes:
        id: task id.
        task: registered name of the task.
        args, kwargs: arguments as sent.
        retries: how often the task was retried before this run.
        properties: the message's properties, as the broker has them.
        delivery_info: ``exchange``, ``routing_key``, ``priority`` and ``redelivered`` of the message.
        hostname: node name of the worker, like ``celery@host``.
        is_eager: True when the caller itself runs the task.
        called_directly: True when the function was called like any function.
        eta, expires: ISO 8601 texts, or None.
        timelimit: ``[hard, soft]`` seconds given by the caller.
        group, group_index: the group the task belongs to and its position there.
        chord: signature of the chord's body this task counts towards.
        chain: what is to follow, the next one last.
        callbacks, errbacks: signatures from ``link`` and ``link_error``.
        root_id, parent_id: first and previous task of the work-flow.
        children: results of the tasks this run has sent.
        headers: headers given by the caller; each is also an attribute, unless one of these has its name.
        serializer: content type of the message.
        reply_to: where the result goes, with a backend that sends results to the caller.
        correlation_id: the task's id.
        origin: the process that made the call, like ``gen123@host``.
        shadow: another name for logs and monitors, or None.
        argsrepr, kwargsrepr: the arguments as text, for logs and monitors.
        ignore_result: True when the caller wants no state to be kept.
        replaced_task_nesting: how often the task has taken another's place.
        stamps: stamps, by name.
        stamped_headers: names of the stamps.
        utc: True: times in messages are UTC.
        redelivered: the broker has delivered the message before.
        loglevel, logfile: of the worker.
        task_object: the task.
        outer: the run in which this one was called, or None.
        has_own_state: True once the task has stored a state of its own.
        announcing: held by the thread that tells that runs have started, and for a moment by a run that stores a state
            of its own, so that STARTED never comes after it.
    """

    id: str | None = None
    task: str | None = None
    args: Any = None
    kwargs: Any = None
    retries: int = 0
    delivery_info: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None
    hostname: str | None = None
    is_eager: bool = False
    called_directly: bool = True
    eta: str | None = None
    expires: str | None = None
    timelimit: Any = None
    group: str | None = None
    group_index: int | None = None
    chord: Any = None
    chain: Any = None
    callbacks: Any = None
    errbacks: Any = None
    root_id: str | None = None
    parent_id: str | None = None
    children: list[Any] | None = None
    headers: dict[str, Any] | None = None
    serializer: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    origin: str | None = None
    shadow: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int = 0
    stamps: Any = None
    stamped_headers: Any = None
    utc: bool = True
    loglevel: int | None = None
    logfile: str | None = None
    redelivered: bool = False
    task_object: Task | None = None
    outer: Request | None = None
    has_own_state: bool = False
    announcing: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, **known: Any) -> None:
        self.__dict__.update(known)

    @property
    def taskset(self) -> str | None:
        """The oldest API's name of ``group``."""
        return self.group

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute, or ``default``."""
        return getattr(self, key, default)

    def update(self, *mappings: Any, **known: Any) -> None:
        """Set attributes."""
        self.__dict__.update(*mappings, **known)

    def clear(self) -> None:
        """Forget every attribute."""
        self.__dict__.clear()

    def add_child(self, result: Any) -> None:
        """Note that this run has sent a task."""
        if self.children is None:
            self.children = []
        self.children.append(result)

    def execution_options(self) -> dict[str, Any]:
        """Return the options with which this very task would be sent again."""
        info = self.delivery_info or {}
        limits = self.timelimit or (None, None)
        options = {
            "task_id": self.id,
            "root_id": self.root_id,
            "parent_id": self.parent_id,
            "group_id": self.group,
            "group_index": self.group_index,
            "shadow": self.shadow,
            "chord": self.chord,
            "chain": self.chain,
            "link": self.callbacks,
            "link_error": self.errbacks,
            "expires": self.expires,
            "time_limit": limits[0],
            "soft_time_limit": limits[1],
            "headers": self.headers,
            "retries": self.retries,
            "serializer": self.serializer,
            "reply_to": self.reply_to,
            "replaced_task_nesting": self.replaced_task_nesting,
            "ignore_result": self.ignore_result,
            "stamps": self.stamps,
            "stamped_headers": self.stamped_headers,
            **self._place(info),
            "priority": info.get("priority"),
        }
        return {name: value for name, value in options.items() if value is not None}

    def _place(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Return where this very message lay: an exchange would copy it to other queues as well."""
        exchange, key = info.get("exchange"), info.get("routing_key")
        if exchange and info.get("queue"):
            return {"exchange": "", "routing_key": info["queue"]}
        return {"exchange": exchange, "routing_key": key}

    #: The name Celery programs know.
    as_execution_options = execution_options

    def __repr__(self) -> str:
        return f"<Request: {self.task}[{self.id}] retries={self.retries}>"


#: The name Celery programs know.
Context = Request


def _forget_holder() -> None:
    """Free the lock in a child that was forked while another thread held it."""
    Request.announcing = threading.Lock()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_forget_holder)
