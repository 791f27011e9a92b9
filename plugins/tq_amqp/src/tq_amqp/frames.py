"""AMQP 0-9-1 frames: what stands on the wire, as pure functions.

A frame is a type, a channel, a length, that many bytes and an end mark. A method frame carries a class and method
number with arguments; a message is a method frame, a header frame with its size and properties, and body frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any, TypeAlias

from tq_amqp.tables import decode_table, encode_table

#: What is gathered for sending.
Piece: TypeAlias = bytes | memoryview

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = 0xCE
_END = b"\xce"

HEAD = Struct(">BHI")
SIGNATURE = Struct(">I")
_SIZES = Struct(">BHIHHQ")
_U16, _U64 = Struct(">H"), Struct(">Q")

#: What a heartbeat looks like.
HEARTBEAT_FRAME = HEAD.pack(HEARTBEAT, 0, 0) + _END


def number_of(class_id: int, method_id: int) -> int:
    """Return class and method in one number, as they stand in a frame."""
    return class_id << 16 | method_id


CONNECTION_CLOSE, CONNECTION_CLOSE_OK = number_of(10, 50), number_of(10, 51)
CONNECTION_BLOCKED, CONNECTION_UNBLOCKED = number_of(10, 60), number_of(10, 61)
CHANNEL_OPEN, CHANNEL_OPEN_OK = number_of(20, 10), number_of(20, 11)
CHANNEL_FLOW, CHANNEL_FLOW_OK = number_of(20, 20), number_of(20, 21)
CHANNEL_CLOSE, CHANNEL_CLOSE_OK = number_of(20, 40), number_of(20, 41)
EXCHANGE_DECLARE, EXCHANGE_DECLARE_OK = number_of(40, 10), number_of(40, 11)
EXCHANGE_DELETE, EXCHANGE_DELETE_OK = number_of(40, 20), number_of(40, 21)
EXCHANGE_BIND, EXCHANGE_BIND_OK = number_of(40, 30), number_of(40, 31)
QUEUE_DECLARE, QUEUE_DECLARE_OK = number_of(50, 10), number_of(50, 11)
QUEUE_BIND, QUEUE_BIND_OK = number_of(50, 20), number_of(50, 21)
QUEUE_PURGE, QUEUE_PURGE_OK = number_of(50, 30), number_of(50, 31)
QUEUE_DELETE, QUEUE_DELETE_OK = number_of(50, 40), number_of(50, 41)
BASIC_QOS, BASIC_QOS_OK = number_of(60, 10), number_of(60, 11)
BASIC_CONSUME, BASIC_CONSUME_OK = number_of(60, 20), number_of(60, 21)
BASIC_CANCEL, BASIC_CANCEL_OK = number_of(60, 30), number_of(60, 31)
BASIC_PUBLISH = number_of(60, 40)
BASIC_RETURN = number_of(60, 50)
BASIC_DELIVER = number_of(60, 60)
BASIC_GET, BASIC_GET_OK, BASIC_GET_EMPTY = number_of(60, 70), number_of(60, 71), number_of(60, 72)
BASIC_ACK = number_of(60, 80)
BASIC_REJECT = number_of(60, 90)
BASIC_NACK = number_of(60, 120)
CONFIRM_SELECT, CONFIRM_SELECT_OK = number_of(85, 10), number_of(85, 11)

#: Methods that a message follows.
WITH_CONTENT = frozenset({BASIC_RETURN, BASIC_DELIVER, BASIC_GET_OK})

#: The properties of a message in the order of their flags, from the highest bit down, and how each is written: a short
#: text, a table, a byte, a time.
PROPERTIES: tuple[tuple[int, str, str], ...] = tuple(
    (1 << (15 - place), name, kind)
    for place, (name, kind) in enumerate(
        (
            ("content_type", "s"),
            ("content_encoding", "s"),
            ("headers", "F"),
            ("delivery_mode", "o"),
            ("priority", "o"),
            ("correlation_id", "s"),
            ("reply_to", "s"),
            ("expiration", "s"),
            ("message_id", "s"),
            ("timestamp", "T"),
            ("type", "s"),
            ("user_id", "s"),
            ("app_id", "s"),
            ("cluster_id", "s"),
        )
    )
)
_KINDS = {name: (flag, kind) for flag, name, kind in PROPERTIES}


def short(text: str) -> bytes:
    """Return a short text with its length.

    Raises:
        ValueError: it is longer than 255 bytes.
    """
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) > 255:
        raise ValueError(f"{text[:40]!r}… has {len(raw)} bytes, AMQP allows 255 for names and short properties")
    return bytes((len(raw),)) + raw


def read_short(data: bytes, at: int) -> tuple[str, int]:
    """Return a short text and where it ends."""
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "surrogatepass"), end


def method(channel: int, number: int, arguments: bytes = b"") -> bytes:
    """Return a method frame."""
    return HEAD.pack(METHOD, channel, 4 + len(arguments)) + SIGNATURE.pack(number) + arguments + _END


def write_properties(properties: Mapping[str, Any]) -> bytes:
    """Return the flags and properties of a message; what is None is left out.

    Args:
        properties: by the names of :data:`PROPERTIES`; ``headers`` may be a table that is written already.

    Raises:
        TypeError, ValueError: one cannot be written.
    """
    flags = 0
    pieces = [b""]
    for flag, name, kind in PROPERTIES:
        value = properties.get(name)
        if value is None:
            continue
        flags |= flag
        if kind == "s":
            pieces.append(short(str(value)))
        elif kind == "F":
            pieces.append(value if type(value) is bytes else encode_table(value))
        elif kind == "o":
            pieces.append(bytes((int(value),)))
        else:
            pieces.append(_U64.pack(int(value)))
    pieces[0] = _U16.pack(flags)
    return b"".join(pieces)


def read_properties(header: bytes) -> dict[str, Any]:
    """Read the properties of a header frame.

    Raises:
        ValueError: they are malformed.
    """
    try:
        flags = header[12] << 8 | header[13]
        at = 14
        found: dict[str, Any] = {}
        for flag, name, kind in PROPERTIES:
            if not flags & flag:
                continue
            if kind == "s":
                end = at + 1 + header[at]
                if end > len(header):
                    raise ValueError(f"the property {name} is cut off")
                found[name] = header[at + 1 : end].decode("utf-8", "surrogatepass")
                at = end
            elif kind == "F":
                found[name], at = decode_table(header, at)
            elif kind == "o":
                found[name] = header[at]
                at += 1
            else:
                found[name] = _U64.unpack_from(header, at)[0]
                at += 8
    except IndexError:
        raise ValueError("the properties are cut off") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"a property is no text: {error}") from None
    return found


def publish_arguments(exchange: str, routing_key: str, *, mandatory: bool = True) -> bytes:
    """Return the arguments of a publish.

    Raises:
        ValueError: a name is too long.
    """
    return b"\x00\x00" + short(exchange) + short(routing_key) + (b"\x01" if mandatory else b"\x00")


def add_message(
    pieces: list[Piece], channel: int, arguments: bytes, properties: bytes, body: bytes, frame_max: int
) -> None:
    """Add the frames of one published message to ``pieces``.

    Args:
        pieces: what is going to be sent.
        channel: on which.
        arguments: of :func:`publish_arguments`.
        properties: of :func:`write_properties`.
        body: any bytes.
        frame_max: most bytes of a frame.
    """
    size = len(body)
    pieces.append(
        HEAD.pack(METHOD, channel, 4 + len(arguments)) + b"\x00\x3c\x00\x28" + arguments + _END
        + _SIZES.pack(HEADER, channel, 12 + len(properties), 60, 0, size) + properties + _END
    )  # fmt: skip  # one line a frame
    most = frame_max - 8
    if 0 < size <= most:
        pieces.append(HEAD.pack(BODY, channel, size) + body + _END)
        return
    whole = memoryview(body)  # a large one is not copied piece by piece
    for start in range(0, size, most):
        part = whole[start : start + most]
        pieces.append(HEAD.pack(BODY, channel, len(part)))
        pieces.append(part)
        pieces.append(_END)
