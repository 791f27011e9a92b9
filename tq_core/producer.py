"""Stations 1 to 4: from a call to a message in the broker."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from tq_core import current, signals
from tq_core.errors import BrokerUnavailable, ImproperlyConfigured, PublishError
from tq_core.message import Message
from tq_core.protocol import task_v2
from tq_core.protocol.task import TaskCall
from tq_core.retry import delays
from tq_core.timeutil import unix_from_iso

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.request import Request
    from tq_core.task import Task

#: Messages made in this thread or coroutine are put here instead of being published.
_collected: ContextVar[list[Message] | None] = ContextVar("tq_collected", default=None)
#: Attributes of a task that are defaults of its calls.
_TASK_OPTIONS = (
    "queue",
    "exchange",
    "routing_key",
    "priority",
    "expires",
    "serializer",
    "compression",
    "delivery_mode",
)


class Producer:
    """Encodes and publishes calls. Safe to use from any thread.

    Args:
        app: the application.
    """

    def __init__(self, app: Celery) -> None:
        conf = app.conf
        self._app = app
        self._origin = app.node
        self._conf = conf
        self._ids = _Ids()
        #: Where ``rpc`` results of this process go.
        self.reply_to = self._ids.next()
        self._first_protocol = conf.task_protocol == 1
        self._templates: dict[str, dict[str, Any]] = {}
        self._bound: float = conf.broker_publish_timeout
        self._retries: bool = bool(conf.task_publish_retry)
        self._before_publish = app.plugins.observers("tq_before_publish")
        self._after_publish = app.plugins.observers("tq_after_publish")
        self._inherit_priority: bool = bool(conf.task_inherit_parent_priority)

    def send(
        self,
        name: str,
        task: Task | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str | None,
        options: Mapping[str, Any],
    ) -> str:
        """Send one call and return its task id.

        Raises:
            EncodeError: the arguments cannot be serialized.
            QueueNotFound: there is no such queue, and it must not be made.
            PublishError: the broker did not take the message in time.
        """
        parent = enclosing_run()
        messages = self.encode(name, task, args, kwargs, task_id, options, parent)
        collecting = _collected.get()
        if collecting is not None:
            collecting += messages
        else:
            self.publish(messages, options)
        return messages[0].id

    @property
    def is_collecting(self) -> bool:
        """True while what this thread or coroutine sends is collected."""
        return _collected.get() is not None

    @contextmanager
    def collecting(self) -> Iterator[list[Message]]:
        """While entered, what this thread or coroutine sends is added to the list instead of published.

        Inside another collection the outer list is used.
        """
        outer = _collected.get()
        if outer is not None:
            yield outer
            return
        messages: list[Message] = []
        token = _collected.set(messages)
        try:
            yield messages
        finally:
            _collected.reset(token)

    def publish(self, messages: Sequence[Message], options: Mapping[str, Any] | None = None) -> None:
        """Hand messages to the broker, trying again within the bound.

        Args:
            messages: what to send.
            options: ``retry`` False tries once.

        Raises:
            PublishError: not every message is known to be in the broker.
        """
        if not messages:
            return
        for listener in self._before_publish:
            for message in messages:
                listener(message)
        retries = self._retries if options is None else options.get("retry", self._retries)
        if retries:
            self._publish_insistently(messages)
        else:
            self._app.broker.publish(messages)
        if signals.after_task_publish.receivers:
            self._announce(messages)
        for listener in self._after_publish:
            for message in messages:
                listener(message)

    def _publish_insistently(self, messages: Sequence[Message]) -> None:
        deadline = time.monotonic() + self._bound
        waits = delays()
        while True:
            try:
                return self._app.broker.publish(messages)
            except (BrokerUnavailable, PublishError) as error:
                # What may have arrived is not sent again: that could run a task twice.
                wait = next(waits)
                if getattr(error, "maybe_sent", False) or time.monotonic() + wait >= deadline:
                    raise
                if isinstance(error, PublishError) and error.unsent:
                    messages = [message for message in messages if message.id in error.unsent]
                time.sleep(wait)

    def encode(
        self,
        name: str,
        task: Task | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str | None,
        options: Mapping[str, Any],
        parent: Request | None = None,
    ) -> list[Message]:
        """Return the messages of one call: one, or several where an exchange copies it to several queues."""
        app, conf = self._app, self._conf
        if task is not None:
            options = {**self._task_options(task), **options}
        if not app.router.is_constant:
            options = {**app.router.options_for(name, args, kwargs, options, task), **options}
        task_id = task_id or options.get("task_id") or self._ids.next()
        if not isinstance(args, (list, tuple)):
            raise TypeError("task args must be a list or tuple")
        if not isinstance(kwargs, Mapping):
            raise TypeError("task keyword arguments must be a mapping")
        due, eta = _when(options)
        expiration, expires = _expiry(options)
        root_id = options.get("root_id")
        parent_id = options.get("parent_id")
        priority = options.get("priority")
        if parent is not None:
            root_id = root_id or parent.root_id or parent.id
            parent_id = parent_id or parent.id
            if priority is None and self._inherit_priority and parent.delivery_info:
                priority = parent.delivery_info.get("priority")
        shadow = options.get("shadow")
        if shadow is None and task is not None:
            shadow = task.shadow_name(args, kwargs, options)
        call = TaskCall(
            name=name,
            id=task_id,
            args=args,
            kwargs=kwargs,
            eta=eta,
            expires=expires,
            group=options.get("group_id"),
            group_index=options.get("group_index"),
            retries=options.get("retries", 0),
            time_limit=options.get("time_limit"),
            soft_time_limit=options.get("soft_time_limit"),
            root_id=root_id or task_id,
            parent_id=parent_id,
            shadow=shadow,
            origin=self._origin,
            ignore_result=bool(options.get("ignore_result", False)),
            replaced_task_nesting=options.get("replaced_task_nesting", 0),
            stamped_headers=options.get("stamped_headers"),
            stamps=options.get("stamps") or {},
            callbacks=_signatures(options.get("link")),
            errbacks=_signatures(options.get("link_error")),
            chain=options.get("chain"),
            chord=options.get("chord"),
            headers=options.get("headers") or {},
        )
        headers, body = self._build(call)
        serializer = app.serializers.get(options.get("serializer") or conf.task_serializer)
        if signals.before_task_publish.receivers:
            signals.before_task_publish.send(
                name, body=body, headers=headers, properties={}, exchange=options.get("exchange"),
                routing_key=options.get("routing_key"), declare=[], retry_policy=options.get("retry_policy"),
            )  # fmt: skip
        data = serializer.dumps(body)
        compression = options.get("compression") or conf.task_compression
        if compression:
            from tq_core.serializers.compression import compress

            data, headers["compression"] = compress(data, compression)
        if priority is None:
            priority = conf.task_default_priority
        return [
            Message(
                task_id,
                headers,
                data,
                serializer.content_type,
                serializer.content_encoding,
                destination.queue,
                destination.exchange,
                destination.routing_key,
                self._native_priority(priority),
                due,
                expiration,
                options.get("reply_to") or self.reply_to,
                options.get("delivery_mode") or conf.task_default_delivery_mode,
            )
            for destination in app.router.destinations(options)
        ]

    def _build(self, call: TaskCall) -> tuple[dict[str, Any], Any]:
        """Return headers and body of a call; a task's constant headers are made once."""
        if self._first_protocol:
            from tq_core.protocol import task_v1

            return task_v1.build(call)
        template = self._templates.get(call.name)
        if template is None:
            template = self._templates[call.name] = task_v2.template(call.name, self._origin)
        return task_v2.build(call, template)

    def _task_options(self, task: Task) -> dict[str, Any]:
        """Return what a task's attributes say about its calls."""
        found = {}
        for name in _TASK_OPTIONS:
            value = getattr(task, name)
            if value is not None:
                found[name] = value
        if task.ignore_result:
            found["ignore_result"] = True
        return found

    def _native_priority(self, priority: int | None) -> int | None:
        """Turn a priority of the configured scale into the broker's own."""
        wanted = self._conf.task_priority_order
        if priority is None or wanted == "native":
            return priority
        return priority if wanted == self._app.broker.capabilities.priority_order else 9 - min(9, max(0, priority))

    def _announce(self, messages: Sequence[Message]) -> None:
        for message in messages:
            signals.after_task_publish.send(
                message.headers.get("task"),
                body=message.body,
                headers=message.headers,
                exchange=message.exchange,
                routing_key=message.routing_key,
            )


class _Ids:
    """Random UUID4 texts, made from randomness fetched in batches."""

    __slots__ = ("_pid", "_ready")

    def __init__(self) -> None:
        # A list's pop is atomic: two threads never get the same id.
        self._ready: list[str] = []
        self._pid = 0

    def next(self) -> str:
        """Return a new id."""
        pid = os.getpid()
        if pid != self._pid:
            # A forked child must not repeat what its parent will hand out.
            self._ready, self._pid = [], pid
        while True:
            try:
                text = self._ready.pop()
            except IndexError:
                random = os.urandom(16 * 128).hex()
                self._ready += [random[at : at + 32] for at in range(0, len(random), 32)]
                continue
            variant = "89ab"[int(text[16], 16) & 3]
            return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def enclosing_run() -> Request | None:
    """Return the run this thread or coroutine is in, looking past tasks called like functions inside it."""
    request = current.running.get()
    while request is not None and request.called_directly:
        request = request.outer
    return request


def _signatures(value: Any) -> list[Any] | None:
    if not value:
        return None
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _when(options: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Return when a call is due, as Unix time and as the header's text."""
    eta = options.get("eta")
    countdown = options.get("countdown")
    if eta is None and countdown is None:
        return None, None
    if eta is None:
        moment = datetime.now(timezone.utc) + timedelta(seconds=_seconds("countdown", countdown))
        return moment.timestamp(), moment.isoformat()
    if isinstance(eta, datetime):
        moment = eta if eta.tzinfo is not None else eta.replace(tzinfo=timezone.utc)
        return moment.timestamp(), moment.isoformat()
    return unix_from_iso(eta), str(eta)


def _expiry(options: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Return after how many seconds a call expires, and when, as the header's text."""
    expires = options.get("expires")
    if expires is None:
        return None, None
    if isinstance(expires, str):
        return max(0.0, unix_from_iso(expires) - time.time()), expires
    if isinstance(expires, datetime):
        moment = expires if expires.tzinfo is not None else expires.replace(tzinfo=timezone.utc)
        return max(0.0, moment.timestamp() - time.time()), moment.isoformat()
    seconds = _seconds("expires", expires)
    moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return max(0.0, seconds), moment.isoformat()


def _seconds(option: str, value: Any) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ImproperlyConfigured(f"{option} must be a number of seconds, not {value!r}") from None
