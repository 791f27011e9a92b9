"""Hands messages to a transport, in Celery's topology."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kombu.transport.virtual import Channel as VirtualChannel

from tq_core.brokers.kombu_bridge.envelope import BURIED, DELIVERIES
from tq_core.brokers.kombu_bridge.link import Link
from tq_core.errors import PublishError
from tq_core.message import Message

#: Where buried messages go: an ordinary queue of the same transport.
DEAD_QUEUE = "tq.dead"

#: The most characters of a traceback that go into a header; AMQP's must fit into one frame.
_LONGEST_TRACEBACK = 20_000
_LONGEST_REASON = 1_000

#: Properties that a message may bring along; others are words of kombu's ``publish`` or belong to the transport.
_PROPERTIES = frozenset(
    {
        "app_id",
        "cluster_id",
        "message_id",
        "timestamp",
        "type",
        "user_id",
        "MessageGroupId",
        "MessageDeduplicationId",
        "DelaySeconds",
        "delay_seconds",
    }
)


def send(link: Link, message: Message, headers: Mapping[str, Any] | None = None) -> None:
    """Publish one message.

    Args:
        link: to the transport, used by this thread.
        message: to its queue by the default exchange; without one, to its exchange.
        headers: instead of the message's own.

    Raises:
        PublishError: it cannot be written, or no queue is bound where it goes. It was not sent.
        Exception: whatever kombu and the driver raise.
    """
    queue = message.queue or ("" if message.exchange else message.routing_key)
    if queue:
        link.declare(queue)
        exchange, routing_key = "", queue
    else:
        exchange, routing_key = message.exchange, message.routing_key
        _require_binding(link, message)
    try:
        link.producer().publish(
            bytes(message.body),
            routing_key=routing_key,
            exchange=exchange,
            delivery_mode=message.delivery_mode,
            priority=message.priority or 0,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers=dict(message.headers if headers is None else headers),
            expiration=message.expiration,
            correlation_id=message.id,
            reply_to=message.reply_to,
            **{name: value for name, value in message.properties.items() if name in _PROPERTIES},
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise PublishError(
            f"Task {message.id} cannot be written for kombu's transport: {error}", unsent=[message.id]
        ) from error


def _require_binding(link: Link, message: Message) -> None:
    """Refuse what a virtual transport would drop without a word."""
    channel = link.open()
    if isinstance(channel, VirtualChannel) and not any(channel._lookup(message.exchange, message.routing_key)):
        raise PublishError(
            f"Task {message.id}: no queue is bound to the exchange {message.exchange!r} with the routing key "
            f"{message.routing_key!r}. Start a worker of such a queue, or route the task to a queue",
            unsent=[message.id],
        )


def send_back(link: Link, message: Message, deliveries: int) -> None:
    """Publish a message again to the queue it came from.

    Args:
        link: to the transport.
        message: as it was received.
        deliveries: how many it has behind it.
    """
    headers = dict(message.headers)
    if deliveries:
        headers[DELIVERIES] = deliveries
    send(link, message, headers)


def send_to_the_dead(
    link: Link, message: Message, *, reason: str, traceback: str | None, deliveries: int, at: float
) -> None:
    """Publish a buried message to :data:`DEAD_QUEUE`, with what is known about it in the header :data:`BURIED`.

    Args:
        link: to the transport.
        message: as it was received; its body and its other headers stay as they are.
        reason: one line.
        traceback: its end is kept when it is very long.
        deliveries: how often the message was handed to a consumer.
        at: Unix time, seconds.
    """
    note = {
        "queue": message.queue,
        "reason": reason[:_LONGEST_REASON],
        "traceback": traceback[-_LONGEST_TRACEBACK:] if traceback else None,
        "buried_at": at,
        "delivery_count": deliveries,
    }
    dead = Message(
        id=message.id,
        headers={**message.headers, BURIED: note},
        body=message.body,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        queue=DEAD_QUEUE,
        routing_key=DEAD_QUEUE,
    )
    send(link, dead)
