"""Which exchanges, queues and bindings there are, and how they come into being.

Celery's objects are made to the letter, since declaring one again with other arguments is an error: a durable
queue, bound to a durable direct exchange of its name; or whatever ``task_queues`` says. tq's own objects have names
that begin with ``tq.``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

from tq_amqp import frames
from tq_amqp.channel import Channel, Refused
from tq_amqp.connection import Link
from tq_amqp.frames import short
from tq_amqp.tables import encode_table
from tq_core.config.queues import ExchangeSpec, QueueSpec
from tq_core.errors import BrokerError
from tq_core.routing.queues import Queues

logger = logging.getLogger(__name__)

#: Milliseconds a returned message waits at the front before it goes to the end of its queue, where Celery finds it.
FRONT_TTL = 60_000
#: Milliseconds without use after which a queue of returned messages goes.
FRONT_EXPIRES = 86_400_000
#: Longest name of a queue in bytes: tq's own queues beside it have some letters more.
LONGEST_NAME = 235


def front_of(queue: str) -> str:
    """Name the queue of the messages that were given back, which stand before all others."""
    return f"tq.front.{queue}"


def queue_arguments(name: str, *, passive: bool = False, durable: bool = True, exclusive: bool = False,
                    auto_delete: bool = False, arguments: Mapping[str, Any] | None = None) -> bytes:  # fmt: skip
    """Return the arguments of a queue.declare."""
    flags = passive | durable << 1 | exclusive << 2 | auto_delete << 3
    return b"\x00\x00" + short(name) + bytes((flags,)) + encode_table(arguments or {})


def exchange_arguments(name: str, kind: str, *, durable: bool = True, auto_delete: bool = False,
                       internal: bool = False, arguments: Mapping[str, Any] | None = None) -> bytes:  # fmt: skip
    """Return the arguments of an exchange.declare."""
    flags = durable << 1 | auto_delete << 2 | internal << 3
    return b"\x00\x00" + short(name) + short(kind) + bytes((flags,)) + encode_table(arguments or {})


def binding_arguments(queue: str, exchange: str, key: str, arguments: Mapping[str, Any] | None = None) -> bytes:
    """Return the arguments of a queue.bind."""
    return b"\x00\x00" + short(queue) + short(exchange) + short(key) + b"\x00" + encode_table(arguments or {})


def count_of(answer: bytes) -> int:
    """Return the number of ready messages in the answer to a queue.declare."""
    _, at = frames.read_short(answer, 4)
    return int.from_bytes(answer[at : at + 4], "big")


class Topology:
    """Makes objects in the broker, each once per process. Any thread.

    Args:
        link: the way there.
        settings: the application's.
    """

    def __init__(self, link: Link, settings: Mapping[str, Any]) -> None:
        self._link = link
        self._passive = link.options.passive
        self._default_type = str(settings.get("task_default_queue_type") or "classic")
        self._missing_type = str(settings.get("task_create_missing_queue_type") or "classic")
        self._default_queue = str(settings.get("task_default_queue") or "celery")
        given = {name: settings.get(name, default) for name, default in _SETTINGS.items()}
        self._queues = Queues(SimpleNamespace(**{**given, "task_create_missing_queues": True}))
        self._configured = frozenset(self._queues)
        self._made: set[str] = set()
        self._lock = threading.Lock()

    # what is known

    @property
    def names(self) -> list[str]:
        """Names of the queues that are configured or were used by this process, sorted."""
        with self._lock:
            made = {name for name in self._made if not name.startswith("tq.")}
        return sorted(self._configured | made)

    def spec(self, queue: str) -> QueueSpec:
        """Return what is configured about a queue, or what one that is named nowhere is like."""
        with self._lock:
            if len(queue.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
                raise BrokerError(
                    f"the name of the queue {queue[:40]!r}… is longer than {LONGEST_NAME} bytes, which RabbitMQ "
                    "has no room for"
                )
            return self._queues[queue]

    def kind(self, queue: str) -> str:
        """Return the type of a queue: ``classic`` or ``quorum``."""
        spec = self.spec(queue)
        given = spec.queue_type or spec.queue_arguments.get("x-queue-type")
        if given:
            return str(given)
        if queue == self._default_queue:
            return self._default_type
        return "classic" if queue in self._configured else self._missing_type

    def has_quorum(self) -> bool:
        """Tell whether one of the configured queues is a quorum queue."""
        return any(self.kind(queue) == "quorum" for queue in self._configured)

    def indirect_bindings(self, queue: str) -> list[tuple[str, str]]:
        """Return the exchanges that are not direct and bound to a queue, with the routing keys."""
        return [
            (exchange.name, key)
            for exchange, key, _ in self._bindings(self.spec(queue))
            if (exchange.type or "direct") != "direct"
        ]

    def arguments(self, queue: str) -> dict[str, Any]:
        """Return the ``x-`` arguments of a queue."""
        spec = self.spec(queue)
        kind = self.kind(queue)
        arguments: dict[str, Any] = {}
        if kind != "classic":
            arguments["x-queue-type"] = kind
        if spec.max_priority is not None and kind == "classic":
            arguments["x-max-priority"] = int(spec.max_priority)
        for name, value, factor in (
            ("x-expires", spec.expires, 1000),
            ("x-message-ttl", spec.message_ttl, 1000),
            ("x-max-length", spec.max_length, 1),
            ("x-max-length-bytes", spec.max_length_bytes, 1),
        ):
            if value is not None:
                arguments[name] = int(value * factor)
        if spec.is_broadcast:
            arguments.setdefault("x-expires", FRONT_EXPIRES)
        return {**arguments, **spec.queue_arguments}

    # what is made

    def forget(self, *names: str) -> None:
        """Make these objects again when they are next needed."""
        with self._lock:
            self._made.difference_update(names)

    def ensure(self, queue: str) -> None:
        """Make sure that a queue exists, with its exchanges and bindings.

        Raises:
            BrokerUnavailable: RabbitMQ cannot be reached.
            BrokerError: it cannot be made or used; the text names the object and the setting.
        """
        if queue in self._made:
            return
        spec = self.spec(queue)
        if spec.no_declare or self._passive:
            self._look(spec)
        else:
            try:
                self._link.call(partial(self._declare_queue, spec))
            except Refused as error:
                self._look(spec, error)
            for exchange, key, more in self._bindings(spec):
                self._bind(spec, exchange, key, more)
        with self._lock:
            self._made.add(queue)

    def ensure_front(self, queue: str) -> str:
        """Make sure that the queue of returned messages exists, and return its name.

        Raises:
            BrokerUnavailable, BrokerError: as for :meth:`ensure`.
        """
        name = front_of(queue)
        arguments: dict[str, Any] = {
            "x-message-ttl": FRONT_TTL,
            "x-expires": FRONT_EXPIRES,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": queue,
        }
        if self.kind(queue) == "quorum":
            arguments["x-queue-type"] = "quorum"
        self.ensure_own(name, arguments)
        return name

    def ensure_own(self, name: str, arguments: Mapping[str, Any], *, lasting: bool = True) -> None:
        """Make sure that one of tq's own queues exists.

        Args:
            name: of the queue.
            arguments: its ``x-`` arguments.
            lasting: False makes sure each time, for a queue that goes when it is not used.

        Raises:
            BrokerUnavailable, BrokerError: as for :meth:`ensure`.
        """
        if name in self._made:
            return
        try:
            self._link.call(lambda channel, until: _declare(channel, queue_arguments(name, arguments=arguments), until))
        except Refused as error:
            raise BrokerError(
                f"{self._link}: the queue {name!r} of tq's own cannot be made: {error}. Allow the user to configure "
                "'^tq\\.', or delete the queue if it has other arguments"
            ) from error
        if lasting:
            with self._lock:
                self._made.add(name)

    def is_consumed(self, name: str) -> bool:
        """Tell whether a queue exists and somebody receives from it.

        Raises:
            BrokerUnavailable: RabbitMQ cannot be reached.
        """

        def look(channel: Channel, until: float) -> bool:
            answer = channel.call(frames.QUEUE_DECLARE, queue_arguments(name, passive=True), until)
            return int.from_bytes(answer[-4:], "big") > 0

        try:
            return self._link.call(look)
        except Refused:
            return False

    def ensure_exchange(self, name: str, kind: str, *, durable: bool = True) -> None:
        """Make sure that one of tq's own exchanges exists.

        Raises:
            BrokerUnavailable, BrokerError: as for :meth:`ensure`.
        """
        mark = f"tq.exchange {name}"
        if mark in self._made:
            return

        def declare(channel: Channel, until: float) -> None:
            channel.call(frames.EXCHANGE_DECLARE, exchange_arguments(name, kind, durable=durable), until)

        try:
            self._link.call(declare)
        except Refused as error:
            raise BrokerError(f"{self._link}: the exchange {name!r} cannot be made: {error}") from error
        with self._lock:
            self._made.add(mark)

    def ensure_binding(self, queue: str, exchange: str, key: str) -> None:
        """Make sure that one of tq's own queues is bound.

        Raises:
            BrokerUnavailable, BrokerError: as for :meth:`ensure`.
        """
        mark = f"tq.binding {queue} {exchange} {key}"
        if mark in self._made:
            return
        try:
            self._link.call(
                lambda channel, until: channel.call(frames.QUEUE_BIND, binding_arguments(queue, exchange, key), until)
            )
        except Refused as error:
            raise BrokerError(f"{self._link}: {queue!r} cannot be bound to {exchange!r}: {error}") from error
        with self._lock:
            self._made.add(mark)

    def _declare_queue(self, spec: QueueSpec, channel: Channel, until: float) -> None:
        asked = queue_arguments(
            spec.name,
            durable=spec.durable,
            exclusive=False,
            # A broadcast's queue is this worker's own. It would go whenever it is not listened to, as between two
            # batches, with the messages in it; it expires instead.
            auto_delete=spec.auto_delete and not spec.is_broadcast,
            arguments=self.arguments(spec.name),
        )
        _declare(channel, asked, until)

    def _look(self, spec: QueueSpec, refusal: Refused | None = None) -> None:
        """Use a queue as it is."""
        try:
            self._link.call(lambda channel, until: _declare(channel, queue_arguments(spec.name, passive=True), until))
        except Refused as error:
            raise BrokerError(self._told(spec, refusal or error)) from error
        if refusal is not None:
            logger.warning(
                "The queue %r has other arguments than task_queues and the defaults say, and is used as it is: %s",
                spec.name,
                refusal.text,
            )

    def _told(self, spec: QueueSpec, error: Refused) -> str:
        where = f"{self._link}: the queue {spec.name!r}"
        if error.code == 404:
            return (
                f"{where} does not exist, and it is not to be made here (passive, or no_declare in task_queues). "
                "Make it, or let tq do it"
            )
        if error.code == 403:
            return f"{where} may not be used: {error}. Give the user the permission (rabbitmqctl set_permissions)"
        if error.code == 405:
            return f"{where} belongs to another connection (exclusive): {error}. Choose another name in task_queues"
        return f"{where} cannot be made as task_queues says: {error}"

    def _bindings(self, spec: QueueSpec) -> list[tuple[ExchangeSpec, str, Mapping[str, Any]]]:
        found = []
        if spec.exchange is not None and spec.exchange.name:
            found.append((spec.exchange, spec.routing_key or "", spec.binding_arguments))
        found += [(b.exchange, b.routing_key, b.arguments) for b in spec.bindings if b.exchange.name]
        return found

    def _bind(self, spec: QueueSpec, exchange: ExchangeSpec, key: str, more: Mapping[str, Any]) -> None:
        kind = exchange.type or "direct"

        def bind(channel: Channel, until: float) -> None:
            if not exchange.name.startswith("amq."):
                asked = exchange_arguments(
                    exchange.name,
                    kind,
                    durable=exchange.durable,
                    auto_delete=exchange.auto_delete,
                    arguments=exchange.arguments,
                )
                channel.call(frames.EXCHANGE_DECLARE, asked, until)
            channel.call(frames.QUEUE_BIND, binding_arguments(spec.name, exchange.name, key, more), until)

        try:
            self._link.call(bind)
        except Refused as error:
            told = (
                f"{self._link}: the exchange {exchange.name!r} of the queue {spec.name!r} cannot be used as "
                f"{kind} exchange: {error}. Correct exchange_type in task_queues (or task_default_exchange_type), "
                "or delete the exchange"
            )
            if kind != "direct":
                raise BrokerError(told) from error
            logger.warning("%s. Tasks reach the queue by its name all the same", told)


def _declare(channel: Channel, arguments: bytes, until: float) -> int:
    return count_of(channel.call(frames.QUEUE_DECLARE, arguments, until))


#: The settings that say what queues are like, with their defaults.
_SETTINGS: dict[str, Any] = {
    "task_queues": None,
    "task_default_queue": "celery",
    "task_default_exchange": None,
    "task_default_exchange_type": "direct",
    "task_default_routing_key": None,
    "task_queue_max_priority": None,
    # Whether a queue may be made is for the router to say, before a message comes here.
    "task_create_missing_queues": True,
    "task_create_missing_queue_exchange_type": None,
}
