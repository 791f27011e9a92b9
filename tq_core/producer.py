"""Stations 1 to 4: from a call to a message in the broker."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tq_core import current, plain_call, signals
from tq_core.announcing import announce_call, announce_sent, with_properties
from tq_core.due import due_of, expiry_of
from tq_core.errors import BackendUnavailable, BrokerUnavailable, PublishError, TQError
from tq_core.ids import new_id
from tq_core.message import Message
from tq_core.plain_call import PlainCall
from tq_core.protocol import task_v2
from tq_core.protocol.task import TaskCall
from tq_core.retry import waits_of
from tq_core.routing.placing import laid_over, refuse_immediate

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.outbox import Outbox, Parcel
    from tq_core.request import Request
    from tq_core.task import Task

#: Messages made in this thread or coroutine are put here instead of being published.
_collected: ContextVar[list[Message] | None] = ContextVar("tq_collected", default=None)
#: What has to be done before the messages collected here are published; None where that is done at once.
_postponed: ContextVar[list[Callable[[], object]] | None] = ContextVar("tq_postponed", default=None)
#: Where results of what this thread or coroutine sends go; None for this process's own address.
_replies_to: ContextVar[str | None] = ContextVar("tq_replies_to", default=None)
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
        self._address = new_id()
        self._replies: bool | None = None
        self._first_protocol = conf.task_protocol == 1
        self._templates: dict[str, dict[str, Any]] = {}
        self._bound: float = conf.broker_publish_timeout
        self._retries: bool = bool(conf.task_publish_retry)
        self._before_publish = app.plugins.observers("tq_before_publish")
        self._after_publish = app.plugins.observers("tq_after_publish")
        self._inherit_priority: bool = bool(conf.task_inherit_parent_priority)
        self._outbox: Outbox | None = None

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
        if signals.before_task_publish.receivers or not self._app.router.is_constant:
            options = self._addressed(name, task, args, kwargs, options)
        messages = self.encode(name, task, args, kwargs, task_id, options, enclosing_run())
        self.send_encoded(messages, options)
        return messages[0].id

    def send_encoded(self, messages: list[Message], options: Mapping[str, Any]) -> None:
        """Publish what :meth:`encode` or :meth:`encode_many` has made, or collect it.

        Raises:
            PublishError: the broker did not take every message in time.
        """
        collecting = _collected.get()
        if collecting is not None:
            collecting += messages
        else:
            self.publish(messages, options)

    async def asend(
        self,
        name: str,
        task: Task | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str | None,
        options: Mapping[str, Any],
    ) -> str:
        """As :meth:`send`; the running loop turns while the broker is waited for."""
        if signals.before_task_publish.receivers or not self._app.router.is_constant:
            options = self._addressed(name, task, args, kwargs, options)
        messages = self.encode(name, task, args, kwargs, task_id, options, enclosing_run())
        collecting = _collected.get()
        if collecting is not None:
            collecting += messages
        else:
            await self.apublish(_parcel(messages), options)
        return messages[0].id

    def _addressed(
        self, name: str, task: Task | None, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return a call's options with those that its route adds, also to how it is published."""
        if not self._app.router.is_constant:
            own = self._task_options(task) if task is not None else {}
            # What a task has from the settings is said of all tasks, and yields to what a route says of this one.
            own = {option: value for option, value in own.items() if not _follows_setting(task, option)}
            options = self._app.router.routed(name, args, kwargs, laid_over(own, options), task)
        if signals.before_task_publish.receivers:
            # A copy, which the receivers may change before it is followed.
            policy = {**self._conf.task_publish_retry_policy, **(options.get("retry_policy") or {})}
            options = {**options, "retry_policy": policy}
        return options

    # where results go

    @property
    def replies(self) -> bool:
        """True where results go to :attr:`reply_to`; the backend is opened only where its plugin does not say."""
        if self._replies is None:
            app = self._app
            try:
                told = app.plugins.backend_capabilities(app.connections.urls[1])
                self._replies = (app.backend.capabilities if told is None else told).replies
            except TQError:  # whoever asks for a result is told what is wrong with the backend
                self._replies = False
        return self._replies

    @property
    def reply_to(self) -> str:
        """Where the result of what this thread or coroutine sends now goes, where the backend sends replies."""
        other = _replies_to.get()
        if other:
            return other
        return self._app.backend.reply_address() if self.replies else self._address

    @contextmanager
    def replying_to(self, address: str | None) -> Iterator[None]:
        """While entered, results of what this thread or coroutine sends go where somebody else waits for them.

        Args:
            address: where; None or "" changes nothing.
        """
        token = _replies_to.set(address or _replies_to.get())
        try:
            yield
        finally:
            _replies_to.reset(token)

    # collecting

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

    @contextmanager
    def packing(self) -> Iterator[Parcel]:
        """While entered, what this coroutine sends, and what must precede it, is put into a parcel."""
        parcel = _parcel([])
        token = _postponed.set(parcel.first)
        try:
            with self.collecting() as messages:
                yield parcel
            parcel.messages += messages
        finally:
            _postponed.reset(token)

    def precede(self, prepare: Callable[[], object]) -> None:
        """Call a function before what is sent next is published: now, unless that is being packed."""
        postponed = _postponed.get()
        if postponed is None:
            prepare()
        else:
            postponed.append(prepare)

    def publish(self, messages: Sequence[Message], options: Mapping[str, Any] | None = None) -> None:
        """Hand messages to the broker, trying again within the bound.

        Args:
            messages: what to send.
            options: ``retry`` False tries once; ``retry_policy`` overrides entries of the configured policy.

        Raises:
            PublishError: not every message is known to be in the broker.
        """
        if not messages:
            return
        self._announce_before(messages)
        self.deliver(messages, insist=self._insists(options), policy=(options or {}).get("retry_policy"))
        self._announce_after(messages)

    async def apublish(self, parcel: Parcel, options: Mapping[str, Any] | None = None) -> None:
        """As :meth:`publish`; the running loop turns while the broker is waited for.

        Raises:
            PublishError: not every message is known to be in the broker.
        """
        messages = list(parcel.messages)
        if not messages:
            return
        outbox = self._outbox
        if outbox is None:
            from tq_core.outbox import Outbox  # with asyncio, which only coroutines need

            outbox = self._outbox = Outbox(self.deliver, self._bound)
        self._announce_before(messages)
        await outbox.publish(parcel, insist=self._insists(options))
        self._announce_after(messages)

    def deliver(
        self,
        messages: Sequence[Message],
        *,
        insist: bool,
        deadline: float | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> None:
        """Hand messages to the broker without telling anybody.

        Args:
            messages: what to send.
            insist: try again as the retry policy says, until the deadline.
            deadline: monotonic seconds; ``broker_publish_timeout`` from now by default.
            policy: overrides entries of the configured policy.

        Raises:
            PublishError, BrokerUnavailable: not every message is known to be in the broker.
        """
        if insist:
            deadline = time.monotonic() + self._bound if deadline is None else deadline
            self._deliver_insistently(messages, deadline, policy or {})
        else:
            self._hand_over(messages)

    def _hand_over(self, messages: Sequence[Message]) -> None:
        if self.replies:
            try:
                self._app.backend.open_replies()
            except BackendUnavailable as error:
                raise BrokerUnavailable(f"Nothing was sent, since no result could be received: {error}") from error
        self._app.broker.publish(messages)

    def close(self) -> None:
        """Publish what coroutines have handed in."""
        if self._outbox is not None:
            self._outbox.close()

    def _insists(self, options: Mapping[str, Any] | None) -> bool:
        return bool(self._retries if options is None else options.get("retry", self._retries))

    def _deliver_insistently(self, messages: Sequence[Message], deadline: float, policy: Mapping[str, Any]) -> None:
        waits: Iterator[float] | None = None
        while True:
            began = time.monotonic()
            try:
                return self._hand_over(messages)
            except (BrokerUnavailable, PublishError) as error:
                if waits is None:
                    waits = waits_of({**self._conf.task_publish_retry_policy, **policy})
                # What may have arrived is not sent again: that could run a task twice.
                wait = next(waits, None)
                if wait is None or getattr(error, "maybe_sent", False):
                    raise
                # Another try may take as long as this one did.
                tried_until = time.monotonic()
                if tried_until + wait + (tried_until - began) >= deadline:
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
            own = self._task_options(task)
            if parent is None and plain_call.are_plain(args, kwargs) and plain_call.fits(app, task, own, options):
                plain = self._plain_call(name, own)
                reply_to = options.get("reply_to") or self.reply_to
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
            get("stamps") or {}, _signatures(get("link")), _signatures(get("link_error")), get("chain"), get("chord"),
            get("headers") or {},
        )  # fmt: skip  # one line a field would hide that the order is what matters
        headers, body = self._build(call)
        serializer = app.serializers.get(options.get("serializer") or conf.task_serializer)
        if priority is None:
            priority = conf.task_default_priority
        native = self._native_priority(priority)
        reply_to = options.get("reply_to") or self.reply_to
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
            encode, reply_to = self._plain_call(task.name, own).encode, options.get("reply_to") or self.reply_to
            for args, kwargs in calls:
                messages += encode(new_id(), args, kwargs, reply_to)
            return messages
        addressed = bool(signals.before_task_publish.receivers) or not self._app.router.is_constant
        for args, kwargs in calls:
            own_options = self._addressed(task.name, task, args, kwargs, options) if addressed else options
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

    def _native_priority(self, priority: int | None) -> int | None:
        """Turn a priority of the configured scale into the broker's own."""
        wanted = self._conf.task_priority_order
        if priority is None or wanted == "native":
            return priority
        return priority if wanted == self._app.broker.capabilities.priority_order else 9 - min(9, max(0, priority))

    def _announce_before(self, messages: Sequence[Message]) -> None:
        for listener in self._before_publish:
            for message in messages:
                listener(message)

    def _announce_after(self, messages: Sequence[Message]) -> None:
        if signals.after_task_publish.receivers or signals.task_sent.receivers:
            announce_sent(messages, self._app.serializers)
        for listener in self._after_publish:
            for message in messages:
                listener(message)


def enclosing_run() -> Request | None:
    """Return the run this thread or coroutine is in, looking past tasks called like functions inside it."""
    request = current.running.get()
    while request is not None and request.called_directly:
        request = request.outer
    return request


def _follows_setting(task: Task | None, option: str) -> bool:
    """Tell whether neither the task nor its class has a value of its own."""
    return hasattr(inspect.getattr_static(task, option), "__get__")


def _parcel(messages: list[Message]) -> Parcel:
    from tq_core.outbox import Parcel

    return Parcel(messages)


def _signatures(value: Any) -> list[Any] | None:
    if not value:
        return None
    return list(value) if isinstance(value, (list, tuple)) else [value]
