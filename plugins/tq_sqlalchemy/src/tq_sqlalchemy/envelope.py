"""A message as columns, and back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from tq_core.errors import PublishError
from tq_core.message import Message
from tq_sqlalchemy.models import PARKED, READY
from tq_sqlalchemy.waking import SOON

#: What :func:`row_of` makes, in this order; every other column starts as the table says.
COLUMNS = (
    "task_id",
    "queue",
    "priority",
    "due",
    "state",
    "enqueued_at",
    "content_type",
    "content_encoding",
    "properties",
    "headers",
    "body",
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

#: The fields of a message that are hardly ever set, with what they are otherwise.
RARE = (
    ("exchange", ""),
    ("expiration", None),
    ("reply_to", ""),
    ("delivery_mode", 2),
)

#: What each of them, and what goes with them, must be; strangers may have written it.
_RARE_TYPES: dict[str, type | tuple[type, ...]] = {
    "exchange": str,
    "routing_key": str,
    "reply_to": str,
    "priority": int,
    "expiration": (int, float),
    "delivery_mode": int,
    "properties": dict,
}


def row_of(message: Message, now: float) -> tuple[Any, ...]:
    """Turn a message into the values of :data:`COLUMNS`.

    Args:
        message: what to keep.
        now: Unix time, seconds.

    Raises:
        PublishError: its headers or properties cannot be written as JSON.
    """
    queue = message.queue or message.routing_key
    due = message.due
    try:
        headers = _encode(message.headers).decode()
        properties = _properties(message, queue)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise PublishError(
            f"Task {message.id}: its headers cannot be written as JSON: {error}", unsent=[message.id]
        ) from error
    return (
        message.id,
        queue,
        message.priority or 0,
        due,
        READY if due is None or due <= now else PARKED,
        now,
        message.content_type,
        message.content_encoding,
        properties,
        headers,
        message.body,
    )


def rows_of(messages: Sequence[Message]) -> list[tuple[Any, ...]]:
    """Turn messages into rows; see :func:`row_of`."""
    now = time.time()
    return [row_of(message, now) for message in messages]


def wakes_of(rows: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    """Return how many consumers to wake for rows made by :func:`row_of`, by queue; 0 where all are due later."""
    wakes: dict[str, int] = {}
    for row in rows:
        _, queue, _, due, state, now, *_ = row
        wakes[queue] = wakes.get(queue, 0) + (state == READY or due - now < SOON)
    return wakes


def _properties(message: Message, queue: str) -> str | None:
    rare = {name: value for name, usual in RARE if (value := getattr(message, name)) != usual}
    if message.properties:
        rare["properties"] = dict(message.properties)
    if message.routing_key != queue:
        rare["routing_key"] = message.routing_key
    if message.priority is None:
        return _encode(rare).decode() if rare else None
    rare["priority"] = message.priority
    return _encode(rare).decode()


def message_of(  # one place per column, called with a row
    task_id: str,
    queue: str,
    due: float | None,
    content_type: str,
    content_encoding: str,
    properties: str | bytes | None,
    headers: str | bytes,
    body: bytes,
) -> Message:
    """Turn columns back into a message.

    Raises:
        ValueError: headers or properties are not what :func:`row_of` writes; the text says which.
    """
    try:
        read = _decode(headers)
        rare = _decode(properties) if properties else {}
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"the headers are not JSON: {error}") from error
    except RecursionError:
        raise ValueError("the headers are nested too deeply to be read") from None
    if type(read) is not dict or type(rare) is not dict:
        raise ValueError("the headers are not a JSON object")
    for name, value in rare.items():
        if not isinstance(value, _RARE_TYPES.get(name, object)):
            raise ValueError(f"the property {name} is {type(value).__name__}")
    if not rare:
        return Message(task_id, read, body, content_type, content_encoding, queue, "", queue, None, due)
    return Message(
        task_id,
        read,
        body,
        content_type,
        content_encoding,
        queue,
        rare.get("exchange", ""),
        rare.get("routing_key", queue),
        rare.get("priority"),
        due,
        rare.get("expiration"),
        rare.get("reply_to", ""),
        rare.get("delivery_mode", 2),
        rare.get("properties", {}),
    )


def raw_of(headers: str | bytes, body: bytes) -> bytes:
    """Join what a row holds of an unreadable envelope, for the dead letter."""
    text = headers.encode("utf-8", "surrogateescape") if isinstance(headers, str) else bytes(headers)
    return text + b"\n" + bytes(body)
