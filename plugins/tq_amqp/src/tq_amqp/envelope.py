"""A message as it stands in RabbitMQ, and back.

Properties and headers are those of Celery's messages on AMQP. tq adds headers of its own only to messages that were
given back, wait for their time, or are dead; they begin with ``x-tq-`` and are never shown to anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tq_amqp import frames
from tq_amqp.tables import encode_table
from tq_core.errors import PublishError
from tq_core.message import Message

#: Deliveries of a message before this copy of it was made.
COUNT = "x-tq-deliveries"
#: Unix time in milliseconds before which it must not be handed out.
DUE = "x-tq-due"
#: Present on a message that somebody began and did not end.
BEGUN = "x-tq-begun"
#: Present on a message that was written anew to stand elsewhere: where that was cut short, the one it stands for is
#: there as well.
COPY = "x-tq-copy"
#: Which consumer keeps this copy for itself, and its number there.
HOLDER, SERIAL = "x-tq-holder", "x-tq-serial"

#: Headers that RabbitMQ adds; they are no part of the task.
_SERVERS = frozenset({"x-delivery-count", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason",
                      "x-last-death-exchange", "x-last-death-queue", "x-last-death-reason", "x-death"})  # fmt: skip
_OTHERS = ("message_id", "timestamp", "type", "app_id")


@dataclass(frozen=True, slots=True)
class Read:
    """What a message from RabbitMQ says.

    Attributes:
        message: the message, or None when it cannot be read.
        defect: why not.
        own: tq's own headers.
        properties: all properties, headers included, as they were.
    """

    message: Message | None
    defect: str | None
    own: Mapping[str, Any]
    properties: Mapping[str, Any]


def write(message: Message, own: Mapping[str, Any] | None = None) -> bytes:
    """Return the properties of a message as they stand on the wire.

    Args:
        message: what to write.
        own: headers of tq's own to add.

    Raises:
        PublishError: it cannot be written.
    """
    headers = message.headers
    if own:
        headers = {**headers, **own}
    properties: dict[str, Any] = {
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "delivery_mode": message.delivery_mode,
        "priority": message.priority,
        "correlation_id": message.id,
        "reply_to": message.reply_to or None,
    }
    if message.expiration is not None and message.due is None:
        properties["expiration"] = str(max(0, int(message.expiration * 1000)))
    if message.properties:
        properties.update((name, message.properties[name]) for name in _OTHERS if name in message.properties)
    try:
        properties["headers"] = encode_table(headers)
        return frames.write_properties(properties)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PublishError(
            f"Task {message.id}: it cannot be written as an AMQP message: {error}", unsent=[message.id]
        ) from error


def rewrite(properties: Mapping[str, Any], own: Mapping[str, Any], *, lasting: bool = True) -> bytes:
    """Return the properties of a message that was received, for sending it on.

    Args:
        properties: as they were read.
        own: tq's own headers that it has from now on.
        lasting: False keeps its time to live, which began anew otherwise.
    """
    headers = {
        name: value
        for name, value in (properties.get("headers") or {}).items()
        if not (name.startswith("x-tq-") or name in _SERVERS)
    }
    kept = {name: value for name, value in properties.items() if name not in ("user_id", "cluster_id")}
    if lasting:
        kept.pop("expiration", None)
    return frames.write_properties({**kept, "headers": {**headers, **own}})


def read(header: bytes, body: bytes, queue: str, exchange: str, routing_key: str) -> Read:
    """Read a message.

    Args:
        header: its header frame.
        body: its body.
        queue: where it was received from.
        exchange: where it was published to.
        routing_key: with which key.
    """
    try:
        properties = frames.read_properties(header)
    except ValueError as error:
        return Read(None, f"its properties cannot be read: {error}", {}, {})
    headers = properties.get("headers") or {}
    own: dict[str, Any] = {}
    # Looking into the bytes is many times faster than looking at each name; a wrong guess does no harm.
    if b"x-" in header and any(name.startswith("x-") for name in headers):
        own = {name: value for name, value in headers.items() if name.startswith("x-tq-")}
        if exchange == "" and routing_key != queue:
            routing_key = queue  # it came by way of one of tq's own queues
        headers = {name: value for name, value in headers.items() if name not in own and name not in _SERVERS}
    identity = properties.get("correlation_id") or headers.get("id") or ""
    message = Message(
        identity if isinstance(identity, str) else str(identity),
        headers,
        body,
        properties.get("content_type") or "",
        properties.get("content_encoding") or "",
        queue,
        exchange,
        routing_key,
        properties.get("priority"),
        None,
        _seconds(properties.get("expiration")),
        properties.get("reply_to") or "",
        properties.get("delivery_mode", 1),
        {name: properties[name] for name in _OTHERS if name in properties},
    )
    return Read(message, None, own, properties)


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else int(text) / 1000
    except ValueError:
        return None


def whole(value: Any, default: int = 0) -> int:
    """Return a number of tq's own headers, which anybody may have written."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else default
