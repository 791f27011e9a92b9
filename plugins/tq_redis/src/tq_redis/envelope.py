"""A message as kombu writes it into a Redis list, and back.

The format is that of kombu's virtual transports: one JSON object with ``body``, ``content-encoding``,
``content-type``, ``headers`` and ``properties``, in that order. The delivery tag stands last, so that a script finds it
without reading the whole.
"""

from __future__ import annotations

import binascii
import itertools
import json
import os
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from tq_core.errors import PublishError
from tq_core.message import Message

#: Properties that have fields of their own in a message.
_OWN = frozenset(
    {
        "correlation_id",
        "reply_to",
        "delivery_mode",
        "delivery_info",
        "priority",
        "body_encoding",
        "delivery_tag",
        "expiration",
    }
)

#: What stands before the headers, after the id, and before the end.
_Frame: TypeAlias = tuple[bytes, bytes, bytes]

_fast_encode = msgspec.json.Encoder().encode


class _Properties(msgspec.Struct):
    correlation_id: str | None = None
    reply_to: str | None = None
    delivery_mode: int | None = 2
    priority: int | None = None
    body_encoding: str | None = None
    expiration: str | int | float | None = None


class _Envelope(msgspec.Struct):
    body: str
    properties: _Properties
    headers: dict[str, Any] = {}
    content_type: str | None = msgspec.field(name="content-type", default=None)
    content_encoding: str | None = msgspec.field(name="content-encoding", default=None)


_fast_decode = msgspec.json.Decoder(_Envelope).decode


class Tags:
    """Makes delivery tags: the time in milliseconds, something of this process, and a number. Any thread."""

    def __init__(self) -> None:
        self._pid = 0

    def _begin(self) -> None:
        self._process = os.urandom(8).hex()
        self._next = itertools.count(1).__next__
        self._pid = os.getpid()

    def tag(self) -> str:
        """Return a tag that no other message has."""
        if self._pid != os.getpid():
            self._begin()
        return f"tq1-{int(time.time() * 1000):x}-{self._process}-{self._next():x}"


def age_of(end: bytes) -> float | None:
    """Return the age in seconds of an envelope of which this is the end, or None when tq did not write it."""
    at = end.rfind(b'"tq1-')
    if at < 0:
        return None
    try:
        return max(0.0, time.time() - int(end[at + 5 :].partition(b"-")[0], 16) / 1000)
    except ValueError:
        return None


def _encode(value: Any) -> bytes:
    try:
        return _fast_encode(value)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return json.dumps(value).encode()  # lone surrogates and numbers of any size


class Encoder:
    """Writes envelopes. Any thread.

    Args:
        body_encoding: ``base64``, or ``utf-8`` for bodies that are text.
    """

    def __init__(self, body_encoding: str = "base64") -> None:
        self._plain = body_encoding == "utf-8"
        self._frames: dict[tuple[Any, ...], _Frame] = {}

    def encode(self, message: Message, queue: str, tag: str) -> bytes:
        """Return the envelope of a message.

        Args:
            message: what to write.
            queue: where it goes.
            tag: its delivery tag.

        Raises:
            PublishError: its headers or properties cannot be written as JSON.
        """
        try:
            return b"".join(self._pieces(message, queue, tag))
        except (TypeError, ValueError, RecursionError) as error:
            raise PublishError(
                f"Task {message.id}: its headers cannot be written as JSON: {error}", unsent=[message.id]
            ) from error

    def _pieces(self, message: Message, queue: str, tag: str) -> list[bytes]:
        body, encoding = self._body(message.body)
        more = b""
        if message.expiration is not None:
            more = b', "expiration": "%d"' % int(message.expiration * 1000)
        if message.properties:
            rest = {name: value for name, value in message.properties.items() if name not in _OWN}
            more += b", " + _encode(rest)[1:-1] if rest else b""
        before_headers, after_id, end = self._frame(message, message.routing_key if message.exchange else queue)
        return [
            b'{"body": ',
            body,
            before_headers,
            _encode(message.headers),
            b', "properties": {"correlation_id": ',
            _encode(message.id),
            after_id,
            more,
            end,
            encoding,
            tag.encode(),
            b'"}}',
        ]

    def _frame(self, message: Message, routing_key: str) -> _Frame:
        """Return the parts that most messages of a queue have in common; they are written once."""
        kind = (
            message.content_encoding, message.content_type, message.reply_to, message.delivery_mode,
            message.exchange, routing_key, message.priority,
        )  # fmt: skip
        frame = self._frames.get(kind)
        if frame is None:
            frame = _frame_of(*kind)
            if len(self._frames) < 1000:
                self._frames[kind] = frame
        return frame

    def _body(self, body: bytes) -> tuple[bytes, bytes]:
        if self._plain:
            try:
                return _encode(body.decode()), b', "body_encoding": "utf-8", "delivery_tag": "'
            except UnicodeDecodeError:
                pass  # compressed or pickled
        text = binascii.b2a_base64(body, newline=False)
        return b'"' + text + b'"', b', "body_encoding": "base64", "delivery_tag": "'


def _frame_of(
    encoding: str, kind: str, reply_to: str, delivery_mode: int, exchange: str, routing_key: str, priority: int | None
) -> _Frame:
    info = _encode({"exchange": exchange, "routing_key": routing_key})
    return (
        b', "content-encoding": %s, "content-type": %s, "headers": ' % (_encode(encoding), _encode(kind)),
        b', "reply_to": %s, "delivery_mode": %d' % (_encode(reply_to), delivery_mode),
        b', "delivery_info": %s, "priority": %d' % (info, priority or 0),
    )


def message_of(raw: bytes, queue: str, due: float | None = None) -> Message:
    """Read an envelope, whoever wrote it.

    Args:
        raw: one element of a list.
        queue: where it was.
        due: its due time, where that is known.

    Raises:
        ValueError: it is not an envelope; the text says why, and never repeats the body.
    """
    try:
        envelope = _fast_decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _read_slowly(
            raw, queue, due
        )  # NaN, lone surrogates, odd types: what the standard library takes, we take
    properties = envelope.properties
    body = _unbase64(envelope.body) if properties.body_encoding == "base64" else envelope.body.encode()
    expiration = properties.expiration
    headers = envelope.headers
    return Message(
        properties.correlation_id or str(headers.get("id") or ""),
        headers,
        body,
        envelope.content_type or "application/data",
        envelope.content_encoding or "utf-8",
        queue,
        "",
        queue,
        properties.priority,
        due,
        None if expiration is None else _seconds(expiration),
        properties.reply_to or "",
        properties.delivery_mode or 2,
    )


def _unbase64(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text)
    except ValueError as error:
        raise ValueError(f"the body is not base64: {error}") from None


def _seconds(expiration: str | float) -> float | None:
    try:
        return float(expiration) / 1000
    except ValueError:
        return None  # Redis never honours it, so it may as well be absent


def _read_slowly(raw: bytes, queue: str, due: float | None) -> Message:
    try:
        envelope = json.loads(raw)
    except RecursionError:
        raise ValueError("the envelope is nested too deeply") from None
    except ValueError as error:
        # Its text may quote what it stumbled over.
        raise ValueError(f"the envelope is not JSON ({type(error).__name__})") from None
    if not isinstance(envelope, dict):
        raise ValueError("the envelope is not a JSON object")
    properties = _part(envelope, "properties", dict, None)
    headers = _part(envelope, "headers", dict, {})
    body = _part(envelope, "body", str, None)
    number: Callable[[str, int | None], Any] = lambda name, usual: _part(properties, name, int, usual)  # noqa: E731
    expiration = properties.get("expiration")
    return Message(
        _part(properties, "correlation_id", str, "") or str(headers.get("id") or ""),
        headers,
        _unbase64(body) if properties.get("body_encoding") == "base64" else body.encode("utf-8", "surrogatepass"),
        _part(envelope, "content-type", str, "application/data"),
        _part(envelope, "content-encoding", str, "utf-8"),
        queue,
        "",
        queue,
        number("priority", None),
        due,
        _seconds(expiration) if isinstance(expiration, (str, int, float)) else None,
        _part(properties, "reply_to", str, ""),
        number("delivery_mode", 2),
    )


def _part(mapping: dict[str, Any], name: str, kind: type[Any], usual: Any) -> Any:
    value = mapping.get(name)
    if value is None:
        if usual is None and kind is not int:
            raise ValueError(f"the envelope has no {name}")
        return usual
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} of the envelope is {type(value).__name__}, not {kind.__name__}")
    return value
