"""Stations 1 to 3: from a call to the messages that stand for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tq_core import current, plain_call, signals
from tq_core.announcing import announce_call, with_properties
from tq_core.due import due_of, expiry_of
from tq_core.ids import new_id
from tq_core.message import Message
from tq_core.plain_call import PlainCall
from tq_core.protocol import task_v2
from tq_core.protocol.task import TaskCall
from tq_core.routing.placing import laid_over, refuse_immediate
from tq_core.task_attributes import follows_setting

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.reply_address import ReplyAddress
    from tq_core.request import Request
    from tq_core.task import Task

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


class CallEncoder:
    """Turns calls into messages, addressed and ready for the broker. Any thread.

    Args:
        app: the application.
        reply_address: where results go.
    """

    def __init__(self, app: Celery, reply_address: ReplyAddress) -> None:
        conf = app.conf
        self._app = app
        self._conf = conf
        self._origin = app.node
        self._reply_address = reply_address
        self._first_protocol = conf.task_protocol == 1
        self._inherit_priority: bool = bool(conf.task_inherit_parent_priority)
        self._templates: dict[str, dict[str, Any]] = {}

    def addressed(
        self, name: str, task: Task | None, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return a call's options with those that its route adds, also to how it is published.

        Args:
            name, task, args, kwargs: what is called, and with what.
            options: the call's own.
        """
        if not self._app.router.is_constant:
            own = {}
            if task is not None:
                # What a task has from the settings is said of all tasks, and yields to what a route says of this one.
                own = {
                    name: value for name, value in self._task_options(task).items() if not follows_setting(task, name)
                }
            options = self._app.router.routed(name, args, kwargs, laid_over(own, options), task)
        if signals.before_task_publish.receivers:
            # A copy, which the receivers may change before it is followed.
            policy = {**self._conf.task_publish_retry_policy, **(options.get("retry_policy") or {})}
            options = {**options, "retry_policy": policy}
        return options

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
            own = self._task_options(task)
            if parent is None and plain_call.are_plain(args, kwargs) and plain_call.fits(app, task, own, options):
                plain = self._plain_call(name, own)
                reply_to = options.get("reply_to") or self._reply_address.current
                return plain.encode(task_id or options.get("task_id") or new_id(), args, kwargs, reply_to, options)
            options = laid_over(own, options)
        if options.get("immediate"):
            refuse_immediate(name)
        task_id = task_id or options.get("task_id") or new_id()
        if not isinstance(args, (list, tuple)):
            raise TypeError("task args must be a list or tuple")
        if not isinstance(kwargs, Mapping):
            raise TypeError("task keyword arguments must be a mapping")
        due, eta = due_of(options)
        expiration, expires = expiry_of(options)
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
        get = options.get
        # By position, in the order of the fields: by name it takes more than twice as long.
        call = TaskCall(
            name, task_id, args, kwargs, eta, expires, get("retries", 0), get("time_limit"), get("soft_time_limit"),
            get("group_id"), get("group_index"), root_id or task_id, parent_id, shadow, None, None, self._origin,
            bool(get("ignore_result", False)), get("replaced_task_nesting", 0), get("stamped_headers"),
            get("stamps") or _stamps(options), _signatures(get("link")), _signatures(get("link_error")), get("chain"),
            get("chord"), get("headers") or {},
        )  # fmt: skip  # one line a field would hide that the order is what matters
        headers, body = self._build(call)
        serializer = app.serializers.get(options.get("serializer") or conf.task_serializer)
        if priority is None:
            priority = conf.task_default_priority
        native = self._native_priority(priority)
        reply_to = options.get("reply_to") or self._reply_address.current
        mode = options.get("delivery_mode") or conf.task_default_delivery_mode
        destinations = app.router.destinations(options)
        properties: dict[str, Any] | None = None
        if signals.before_task_publish.receivers:
            properties = {"correlation_id": task_id, "reply_to": reply_to, "delivery_mode": mode}
            properties |= {k: v for k, v in (("priority", native), ("expiration", expiration)) if v is not None}
            declare = [app.queues[each.queue] for each in destinations if each.queue]
            announce_call(name, body, headers, properties, destinations, declare, options.get("retry_policy") or {})
        data = serializer.dumps(body)
        compression = options.get("compression") or conf.task_compression
        if compression:
            from tq_core.serializers.compression import compress

            data, headers["compression"] = compress(data, compression)
        messages = [
            Message(
                task_id,
                headers,
                data,
                serializer.content_type,
                serializer.content_encoding,
                destination.queue,
                destination.exchange,
                destination.routing_key,
                native,
                due,
                expiration,
                reply_to,
                mode,
            )
            for destination in destinations
        ]
        return messages if properties is None else [with_properties(each, properties) for each in messages]

    def encode_many(self, task: Task, calls: Sequence[tuple[Any, Any]], options: Mapping[str, Any]) -> list[Message]:
        """Return the messages of many calls of one task, which have their options in common.

        Args:
            task: what is called.
            calls: positional and keyword arguments of each.
            options: of all of them; no ids.

        Raises:
            EncodeError: the arguments of a call cannot be serialized.
        """
        parent = enclosing_run()
        own = self._task_options(task)
        messages: list[Message] = []
        if parent is None and plain_call.fits(self._app, task, own, options):
            encode, reply_to = (
                self._plain_call(task.name, own).encode,
                options.get("reply_to") or self._reply_address.current,
            )
            for args, kwargs in calls:
                messages += encode(new_id(), args, kwargs, reply_to)
            return messages
        for args, kwargs in calls:
            own_options = self.addressed(task.name, task, args, kwargs, options)
            messages += self.encode(task.name, task, args, kwargs, None, own_options, parent)
        return messages

    def _plain_call(self, name: str, own: Mapping[str, Any]) -> PlainCall:
        return PlainCall(self._app, self._template(name), own, self._native_priority(self._conf.task_default_priority))

    def _template(self, name: str) -> dict[str, Any]:
        """Return a task's constant headers, which are made once."""
        template = self._templates.get(name)
        if template is None:
            template = self._templates[name] = task_v2.template(name, self._origin)
        return template

    def _build(self, call: TaskCall) -> tuple[dict[str, Any], Any]:
        """Return headers and body of a call."""
        if self._first_protocol:
            from tq_core.protocol import task_v1

            return task_v1.build(call)
        return task_v2.build(call, self._template(call.name))

    def _task_options(self, task: Task) -> dict[str, Any]:
        """Return what a task's attributes say about its calls."""
        found = {name: value for name in _TASK_OPTIONS if (value := getattr(task, name)) is not None}
        if task.ignore_result:
            found["ignore_result"] = True
        return found

    def _own_options(self, task: Task) -> dict[str, Any]:
        """Return them without those from the settings, which are said of all tasks and yield to what a route says."""
        return {name: value for name, value in self._task_options(task).items() if not follows_setting(task, name)}

    def _native_priority(self, priority: int | None) -> int | None:
        """Turn a priority of the configured scale into the broker's own."""
        wanted = self._conf.task_priority_order
        if priority is None or wanted == "native":
            return priority
        return priority if wanted == self._app.broker.capabilities.priority_order else 9 - min(9, max(0, priority))


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


def _stamps(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stamps that a call has among its options, each by the name of its header."""
    return {name: options[name] for name in options.get("stamped_headers") or () if name in options}
