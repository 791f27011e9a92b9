"""Messages no sender would write, for the queues of a RabbitMQ.

The flaws of ``malformed.py`` travel in good messages of AMQP; here they lie in what AMQP adds: the properties, and the
types of a table of headers, of which Celery's senders use a few. Everything is written by hand, as a client could that
makes mistakes or means harm; some of it RabbitMQ itself refuses.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

#: The body that every project's ``good`` task takes.
GOOD = b"[[1], {}, {}]"

#: Properties in the order of their flags, from the highest bit down.
_ORDER = (
    *("content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to"),
    *("expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id"),
)

#: Writes the properties of a message of this id, flags first.
Properties: TypeAlias = Callable[[str], bytes]


def short(value: str | bytes) -> bytes:
    """Write a short text."""
    raw = value.encode() if isinstance(value, str) else value
    return bytes((len(raw),)) + raw


def _long(letter: bytes, raw: bytes) -> bytes:
    return letter + struct.pack(">I", len(raw)) + raw


def text(value: str | bytes) -> bytes:
    """Write a value of a table: a text."""
    return _long(b"S", value.encode() if isinstance(value, str) else value)


def table(entries: Mapping[str | bytes, bytes]) -> bytes:
    """Write a table with its length; its values are written already."""
    return _long(b"", b"".join(short(name) + value for name, value in entries.items()))


def _array(*values: bytes) -> bytes:
    return _long(b"A", b"".join(values))


def _inner(entries: Mapping[str | bytes, bytes]) -> bytes:
    return b"F" + table(entries)


def _time(seconds: int) -> bytes:
    return b"T" + struct.pack(">Q", seconds)


def _decimal(scale: int, value: int) -> bytes:
    return b"D" + struct.pack(">Bi", scale, value)


def _number(letter: str, form: str, value: float) -> bytes:
    return letter.encode() + struct.pack(f">{form}", value)


_BYTES, _NO_TEXT = _long(b"x", b"one"), text(b"\xff\xfe")
_TRUE, _VOID = b"t\x01", b"V"


def value_of(value: Any) -> bytes:
    """Write a value of a table as JSON's types go.

    Raises:
        struct.error: it is a number of more than 64 bits.
    """
    if value is None:
        return _VOID
    if isinstance(value, bool):
        return b"t\x01" if value else b"t\x00"
    if isinstance(value, int):
        return _number("l", "q", value)
    if isinstance(value, float):
        return _number("d", "d", value)
    if isinstance(value, str):
        return text(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, list):
        return _array(*map(value_of, value))
    return _inner({name: value_of(inner) for name, inner in value.items()})


def parts_of(task_id: str) -> dict[str, bytes]:
    """Return the properties of a good message, each as it is written."""
    return {
        "content_type": short("application/json"),
        "content_encoding": short("utf-8"),
        "headers": table(headers_of(task_id)),
        "delivery_mode": b"\x02",
        "priority": b"\x00",
        "correlation_id": short(task_id),
    }


def headers_of(task_id: str) -> dict[str | bytes, bytes]:
    """Return the headers of a good message, each as it is written."""
    return {"task": text("project.good"), "id": text(task_id)}


def written(properties: Mapping[str, bytes]) -> bytes:
    """Write properties with their flags."""
    flags = sum(1 << (15 - place) for place, name in enumerate(_ORDER) if name in properties)
    return struct.pack(">H", flags) + b"".join(properties[name] for name in _ORDER if name in properties)


def _with(**changes: bytes) -> dict[str, Any]:
    return {"properties": lambda task_id: written({**parts_of(task_id), **changes})}


def _without(*names: str) -> dict[str, Any]:
    return {
        "properties": lambda task_id: written({name: p for name, p in parts_of(task_id).items() if name not in names})
    }


def _headers(changes: Mapping[str | bytes, bytes], **properties: bytes) -> dict[str, Any]:
    return {
        "properties": lambda task_id: written(
            {**parts_of(task_id), **properties, "headers": table({**headers_of(task_id), **changes})}
        )
    }


def _header(name: str | bytes, value: bytes) -> dict[str, Any]:
    return _headers({name: value})


def _bytes(change: Callable[[bytes], bytes]) -> dict[str, Any]:
    """Good properties with their bytes changed."""
    return {"properties": lambda task_id: change(written(parts_of(task_id)))}


def _deep(levels: int) -> bytes:
    value = _inner({})
    for _ in range(levels):
        value = _inner({"t": value})
    return value


def _deep_array(levels: int) -> bytes:
    value = _array()
    for _ in range(levels):
        value = _array(value)
    return value


def _mistyped() -> dict[str, dict[str, Any]]:
    """Headers of the task protocol in types that JSON does not have."""
    flaws: dict[str, dict[str, bytes]] = {
        "task": {"bytes": _BYTES, "text in no UTF-8": _NO_TEXT, "a time": _time(0), "a decimal": _decimal(1, 5)},
        "id": {
            "bytes": _BYTES,
            "text in no UTF-8": _NO_TEXT,
            "a time": _time(0),
            "a decimal": _decimal(1, 5),
            "true": _TRUE,
            "a half": _number("d", "d", 0.5),
        },
        "eta": {"bytes": _BYTES, "a decimal": _decimal(1, 5), "true": _TRUE},
        "expires": {"bytes": _BYTES, "a table": _inner({})},
        "retries": {
            "a decimal": _decimal(0, 3),
            "bytes": _BYTES,
            "a time": _time(3),
            "a float": _number("f", "f", 1.5),
            "a byte below zero": _number("b", "b", -1),
            "a short below zero": _number("s", "h", -1),
            "a long below zero": _number("l", "q", -1),
        },
        "timelimit": {"a time": _time(3), "a list of times": _array(_time(3), _VOID), "bytes": _BYTES},
        "group": {"bytes": _BYTES, "a time": _time(3)},
        "group_index": {"a decimal": _decimal(0, 1), "bytes": _BYTES},
        "root_id": {"bytes": _BYTES, "a time": _time(3)},
        "parent_id": {"a time": _time(3), "a decimal": _decimal(0, 1)},
        "shadow": {"bytes": _BYTES, "a time": _time(3)},
        "ignore_result": {"a time": _time(3), "bytes": _BYTES},
        "replaced_task_nesting": {"a decimal": _decimal(0, 1), "bytes": _BYTES},
        "stamped_headers": {"a time": _time(3), "bytes": _BYTES},
        "compression": {"bytes": _BYTES, "a time": _time(3), "true": _TRUE},
    }
    return {
        f"the header {name} is {kind}": _header(name, value)
        for name, kinds in flaws.items()
        for kind, value in kinds.items()
    }


#: A value of each type of RabbitMQ's.
_EVERY_TYPE = {
    "a": _array(_BYTES, _VOID, _time(1)),
    "b": _number("b", "b", -1),
    "B": _number("B", "B", 255),
    "d": _number("d", "d", float("nan")),
    "D": _decimal(255, -(2**31)),
    "f": _number("f", "f", float("inf")),
    "F": _inner({"deeper": _inner({})}),
    "I": _number("I", "i", -1),
    "i": _number("i", "I", 2**32 - 1),
    "l": _number("l", "q", -(2**63)),
    "s": _number("s", "h", -1),
    "S": _NO_TEXT,
    "t": b"t\x07",
    "T": _time(0),
    "u": _number("u", "H", 65_535),
    "V": _VOID,
    "x": _BYTES,
}
_LONG_TEXT = text("x" * 130_700)

#: Everything that is to be buried. ``properties`` are written for an id; a ``body`` may stand beside them.
BAD: Mapping[str, Mapping[str, Any]] = {
    **_mistyped(),
    "no properties at all": {"properties": lambda task_id: b"\x00\x00", "body": GOOD + b" "},
    "no properties and no body": {"properties": lambda task_id: b"\x00\x00", "body": b""},
    "no headers": _without("headers"),
    "headers that are empty": _with(headers=table({})),
    "no content type": _without("content_type"),
    "a content type of no letters": _with(content_type=short("")),
    "a content type in no UTF-8": _with(content_type=short(b"\xff\xfe")),
    "a content type of control characters": _with(content_type=short("text/\x1b[2J\nforged: line")),
    "a content type in capitals": _with(content_type=short("APPLICATION/JSON")),
    "a body of text in Latin-1": {**_with(content_encoding=short("iso-8859-1")), "body": b'[["\xe9"], {}, {}]'},
    "a content type of 255 letters": _with(content_type=short("x" * 255)),
    "a content encoding in no UTF-8": _with(content_encoding=short(b"\xff\xfe")),
    "a correlation id in no UTF-8": _with(correlation_id=short(b"\xff\xfe")),
    "a reply address in no UTF-8": _with(reply_to=short(b"\xff\xfe")),
    "a message id in no UTF-8": _with(message_id=short(b"\xff\xfe")),
    "a type in no UTF-8": _with(type=short(b"\xff\xfe")),
    "an application in no UTF-8": _with(app_id=short(b"\xff\xfe")),
    "a cluster in no UTF-8": _with(cluster_id=short(b"\xff\xfe")),
    "the name of a header in no UTF-8": _header(b"\xff\xfe", _TRUE),
    "the name of a header within a header in no UTF-8": _header("mine", _inner({b"\xff\xfe": _TRUE})),
    "a header of a time beyond all time": _header("when", _time(2**63)),
    "a header of a time in the year 30000": _header("when", _time(900_000_000_000)),
    "tables without end": _header("mine", _deep(150)),
    "many more tables without end": _header("mine", _deep(3_000)),
    "lists without end": _header("mine", _deep_array(150)),
    "a text in UTF-16": {**_with(), "body": GOOD.decode().encode("utf-16")},
    "a body of nothing": {**_with(), "body": b""},
    "a body of zeros": {**_with(), "body": bytes(64)},
    "an unknown task": _header("task", text("project.unknown")),
    "an unknown task of control characters": _header("task", text("x\x1b[31m\nforged: line")),
    "an unknown task in a message that fills the frame": _headers({"task": text("x"), "long": _LONG_TEXT}),
    "no id, in a message that fills the frame": _headers({"id": _VOID, "long": _LONG_TEXT}),
    "a defect in a message that fills the frame": _headers({"long": _LONG_TEXT, "when": _time(2**63)}),
    "more deliveries than anybody made": _header("x-tq-deliveries", _number("l", "q", 2**50)),
    # What RabbitMQ itself refuses, by closing the connection of whoever sends it.
    "a table of an unknown type": _header("mine", b"?\x00"),
    "a table that is cut off": _bytes(lambda raw: raw.replace(b"project.good", b"")),
    "a table longer than the message": _with(headers=b"\x7f\xff\xff\xff"),
    "flags of properties that do not exist": _bytes(lambda raw: struct.pack(">H", 0xFFFE) + raw[2:]),
    "flags without end": _bytes(lambda raw: b"\xff\xff" * 10 + raw),
    "flags without properties": {"properties": lambda task_id: b"\xf8\x00"},
    "an expiration in words": _with(expiration=short("soon")),
    "an expiration below zero": _with(expiration=short("-1")),
    "another user's name": _with(user_id=short("somebody")),
    "copies to an address that is a number": _header("CC", _number("I", "i", 5)),
}

#: Strange, and no reason to refuse them: what is asked of the worker is to live.
ODD: Mapping[str, Mapping[str, Any]] = {
    "the highest priority": _with(priority=b"\xff"),
    "delivery mode 0": _with(delivery_mode=b"\x00"),
    "delivery mode 1": _with(delivery_mode=b"\x01"),
    "delivery mode 255": _with(delivery_mode=b"\xff"),
    "no correlation id": _without("correlation_id"),
    "a correlation id of no letters": _with(correlation_id=short("")),
    "a correlation id of 255 letters": _with(correlation_id=short("c" * 255)),
    "a correlation id of control characters": _with(correlation_id=short("\x1b[2J\nforged: line")),
    "a reply address of control characters": _with(reply_to=short("\x1b[2J\nforged: line")),
    "a reply address that is a queue of tq's": _with(reply_to=short("tq.dead")),
    "a message id of control characters": _with(message_id=short("\x1b[2J\nforged: line")),
    "only what must be": _without("content_encoding", "delivery_mode", "priority", "correlation_id"),
    "no content encoding": _without("content_encoding"),
    "an unknown content encoding": _with(content_encoding=short("utf-99")),
    "sent before all time": _with(timestamp=bytes(8)),
    "sent at the end of time": _with(timestamp=b"\xff" * 8),
    "expired at once": _with(expiration=short("0")),
    "an expiration of fifty years": _with(expiration=short("4294967295")),
    "the name of a header of no letters": _header("", _TRUE),
    "the name of a header of 255 letters": _header("n" * 255, _TRUE),
    "every header twice": {
        "properties": lambda task_id: written(
            {
                **parts_of(task_id),
                "headers": _long(b"", table(headers_of(task_id))[4:] * 2),
            }
        )
    },
    **{f"a header of the type {letter}": _header("mine", value) for letter, value in _EVERY_TYPE.items()},
    "a good message that fills the frame": _header("long", _LONG_TEXT),
    "a good message that fills the frame, due later": _headers(
        {"long": _LONG_TEXT, "x-tq-due": _number("l", "q", 4_000_000_000_000)}
    ),
    "deliveries in words": _header("x-tq-deliveries", text("many")),
    "deliveries below none": _header("x-tq-deliveries", _number("l", "q", -5)),
    "a due time in words": _header("x-tq-due", text("soon")),
    "a due time in a list": _header("x-tq-due", _array(_TRUE)),
    "a due time beyond all time": _header("x-tq-due", _number("l", "q", 2**62)),
    "a due time of long ago": _header("x-tq-due", _number("l", "q", 1)),
    "begun by a number": _headers({"x-tq-begun": _TRUE, "x-tq-holder": _number("I", "i", 5)}),
    "begun by nobody": _headers({"x-tq-begun": _TRUE, "x-tq-holder": text("tq.begun.nobody")}),
    "begun by the dead letters": _headers({"x-tq-begun": _TRUE, "x-tq-holder": text("tq.dead")}),
    "kept under a number in words": _header("x-tq-serial", text("one")),
    "deaths in words": _header("x-death", text("once")),
    "deaths of a stranger's": _header("x-death", _array(_inner({"count": text("many")}))),
    "deliveries of RabbitMQ's own, by a stranger": _header("x-delivery-count", _number("l", "q", 999)),
    "due in the year 9999": _header("eta", text("9999-12-31T23:59:59+00:00")),
    "expired in the year 1": _header("expires", text("0001-01-01T00:00:00")),
    "a limit of no time": _header("timelimit", _array(_VOID, _number("I", "i", 0))),
    "due at a time of AMQP's": _header("eta", _time(1)),
    "expired at a time of AMQP's": _header("expires", _time(1)),
    "copies to a list of numbers": _header("CC", _array(_number("I", "i", 5))),
    "an id of 150 letters": _header("id", text("x" * 150)),
}
