"""Celery's way of leaving due times to RabbitMQ, for calls that Celery's clients send to workers of tq.

An application of Celery's that has a quorum queue sends a call with a due time to the exchange ``celery_delayed_27``
instead of the one of its queue, unless that is a direct exchange. The routing key begins with the seconds to wait, as
28 binary digits. From there it goes down 28 levels: at each it waits 2^level seconds or not at all, as its digit says.
The last hands it to ``celery_delayed_delivery``, and that to the exchange it was for. Celery's workers make all of
this when they start; where only workers of tq are left they must, or RabbitMQ drops such calls.

tq itself needs none of it: see :mod:`tq_amqp.delays`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from tq_amqp import frames
from tq_amqp.connection import Link
from tq_amqp.topology import Topology, binding_arguments, exchange_arguments, queue_arguments
from tq_amqp.wire import Channel, Refused
from tq_core.errors import ImproperlyConfigured

logger = logging.getLogger(__name__)

_LEVELS = 28
_DELIVERY = "celery_delayed_delivery"
_TYPES = ("quorum", "classic")
#: Seconds that RabbitMQ may take to make the 28 queues.
_PATIENCE = 30.0


class NativeDelay:
    """Makes the exchanges and queues of Celery's native delayed delivery. Any thread.

    Args:
        link: the way to RabbitMQ.
        topology: knows what queues are like.
        settings: the application's.

    Raises:
        ImproperlyConfigured: ``broker_native_delayed_delivery_queue_type`` has a value that means nothing.
    """

    def __init__(self, link: Link, topology: Topology, settings: Mapping[str, Any]) -> None:
        self._link = link
        self._topology = topology
        self._type = str(settings.get("broker_native_delayed_delivery_queue_type") or "quorum")
        if self._type not in _TYPES:
            raise ImproperlyConfigured(
                f"broker_native_delayed_delivery_queue_type must be {' or '.join(_TYPES)}, not {self._type!r}"
            )
        self._made: set[str] = set()

    def ensure(self, queues: Iterable[str]) -> None:
        """Make sure that delayed calls of Celery's clients reach these queues, where such clients would send any.

        What RabbitMQ refuses is logged: everything but those calls works without.

        Args:
            queues: names of queues that are about to be received from.

        Raises:
            BrokerUnavailable: RabbitMQ cannot be reached.
        """
        if self._link.options.passive or not self._topology.has_quorum():
            return
        wanted = [name for name in queues if name not in self._made and self._topology.indirect_bindings(name)]
        if not wanted:
            return
        try:
            self._link.call(self._make_levels, _PATIENCE)
            for name in wanted:
                self._topology.ensure(name)
                self._link.call(lambda channel, until, name=name: self._bind(name, channel, until))  # type: ignore[misc]
                self._made.add(name)
        except Refused as error:
            logger.warning(
                "%s: the queues for calls that Celery's clients delay cannot be made: %s. Such calls are lost while no "
                "worker of Celery's makes them; allow the user to configure '^celery_delayed', or delete those that "
                "have another type than broker_native_delayed_delivery_queue_type",
                self._link,
                error,
            )

    def _make_levels(self, channel: Channel, until: float) -> None:
        asked: list[tuple[int, bytes]] = []
        names = [f"celery_delayed_{level}" for level in range(_LEVELS)]
        for name in (*names, _DELIVERY):
            asked.append((frames.EXCHANGE_DECLARE, exchange_arguments(name, "topic")))
        for level, name in enumerate(names):
            below = names[level - 1] if level else _DELIVERY
            before = "*." * (_LEVELS - 1 - level)
            asked.append((frames.QUEUE_DECLARE, queue_arguments(name, arguments=self._arguments(level, below))))
            asked.append((frames.QUEUE_BIND, binding_arguments(name, name, f"{before}1.#")))
            asked.append((frames.EXCHANGE_BIND, binding_arguments(below, name, f"{before}0.#")))
        for number, arguments in asked:
            channel.cast(number, arguments)
        channel.answers(len(asked), until)

    def _arguments(self, level: int, below: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "x-queue-type": self._type,
            "x-overflow": "reject-publish",
            "x-message-ttl": 1000 << level,
            "x-dead-letter-exchange": below,
        }
        if self._type == "quorum":
            arguments["x-dead-letter-strategy"] = "at-least-once"
        return arguments

    def _bind(self, queue: str, channel: Channel, until: float) -> None:
        for exchange, key in self._topology.indirect_bindings(queue):
            pattern = key if key.startswith("#") else f"#.{key}"
            channel.call(frames.EXCHANGE_BIND, binding_arguments(exchange, _DELIVERY, pattern), until)
            channel.call(frames.QUEUE_BIND, binding_arguments(queue, exchange, pattern), until)
