"""AMQP's field tables: the form in which headers and arguments travel.

A table is its length in bytes and then, for each entry, a short name, a letter for the type and the value. The
letters are RabbitMQ's: they differ in places from the specification of AMQP 0-9-1.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from struct import Struct
from typing import Any

_I8, _U8 = Struct(">b"), Struct(">B")
_I16, _U16 = Struct(">h"), Struct(">H")
_I32, _U32 = Struct(">i"), Struct(">I")
_I64, _U64 = Struct(">q"), Struct(">Q")
_F32, _F64 = Struct(">f"), Struct(">d")
_pack_length = _U32.pack

#: Letter → how a number is read.
_NUMBERS = {
    ord("b"): _I8,
    ord("B"): _U8,
    ord("s"): _I16,
    ord("u"): _U16,
    ord("I"): _I32,
    ord("i"): _U32,
    ord("l"): _I64,
    ord("L"): _I64,
    ord("f"): _F32,
    ord("d"): _F64,
}
#: Tables inside tables, at most; a message may be made to nest them without end.
_DEEPEST = 100
_MOST_NAMES = 10_000
_names: dict[str, bytes] = {}
_read_names: dict[bytes, str] = {}


def encode_table(table: Mapping[str, Any]) -> bytes:
    """Return a table with its length.

    Raises:
        TypeError: a value has no form in AMQP.
        ValueError: a name is longer than 255 bytes, or a number than 64 bits.
    """
    pieces: list[bytes] = []
    _add_entries(pieces, table, 0)
    content = b"".join(pieces)
    return _pack_length(len(content)) + content


def _add_entries(pieces: list[bytes], table: Mapping[str, Any], depth: int) -> None:
    add = pieces.append
    for name, value in table.items():
        written = _names.get(name)
        add(_name(name) if written is None else written)
        kind = type(value)
        if kind is str:
            text = value.encode("utf-8", "surrogatepass")
            add(b"S" + _pack_length(len(text)))
            add(text)
        elif value is None:
            add(b"V")
        else:
            _add_value(pieces, value, depth)


def _name(name: Any) -> bytes:
    if type(name) is not str:
        name = str(name)
    text: bytes = name.encode("utf-8", "surrogatepass")
    if len(text) > 255:
        raise ValueError(f"the name {name[:40]!r}… has {len(text)} bytes, AMQP allows 255")
    written = bytes((len(text),)) + text
    if len(_names) < _MOST_NAMES:
        _names[name] = written
    return written


def _add_value(pieces: list[bytes], value: Any, depth: int) -> None:  # noqa: PLR0912  # a branch a type
    add = pieces.append
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    if isinstance(value, bool):
        add(b"t\x01" if value else b"t\x00")
    elif isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        add(b"S" + _pack_length(len(text)))
        add(text)
    elif isinstance(value, int):
        if -(2**31) <= value < 2**31:
            add(b"I" + _I32.pack(value))
        elif -(2**63) <= value < 2**63:
            add(b"l" + _I64.pack(value))
        else:
            raise ValueError("a whole number has more than 64 bits, which AMQP cannot hold")
    elif isinstance(value, float):
        add(b"d" + _F64.pack(value))
    elif value is None:
        add(b"V")
    elif isinstance(value, Mapping):
        inner: list[bytes] = []
        _add_entries(inner, value, depth + 1)
        content = b"".join(inner)
        add(b"F" + _pack_length(len(content)))
        add(content)
    elif isinstance(value, (list, tuple)):
        inner = []
        for item in value:
            _add_value(inner, item, depth + 1)
        content = b"".join(inner)
        add(b"A" + _pack_length(len(content)))
        add(content)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        add(b"x" + _pack_length(len(value)))
        add(bytes(value))
    elif isinstance(value, datetime):
        add(b"T" + _U64.pack(int(value.timestamp())))
    elif isinstance(value, Decimal):
        _add_decimal(add, value)
    else:
        raise TypeError(f"a value of type {type(value).__name__} has no form in AMQP")


def _add_decimal(add: Any, value: Decimal) -> None:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or not -255 <= exponent <= 0:
        raise ValueError(f"the decimal {value} has no form in AMQP")
    whole = int("".join(map(str, digits)) or "0") * (-1 if sign else 1)
    if not -(2**31) <= whole < 2**31:
        raise ValueError(f"the decimal {value} has no form in AMQP")
    add(b"D" + _U8.pack(-exponent) + _I32.pack(whole))


def decode_table(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    """Read a table.

    Args:
        data: where it stands.
        at: where its length begins.

    Returns:
        the table, and where it ends.

    Raises:
        ValueError: it is malformed.
    """
    try:
        return _read_table(data, at, 0)
    except (IndexError, OverflowError, OSError) as error:
        raise ValueError(f"a table is cut off or holds a value out of range: {error}") from None
    except Exception as error:  # struct.error is not exported by name in every type stub
        if isinstance(error, ValueError):
            raise
        raise ValueError(f"a table is malformed: {error}") from None


def _read_table(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    if depth > _DEEPEST:
        raise ValueError(f"a table is nested more than {_DEEPEST} levels deep")
    (length,) = _U32.unpack_from(data, at)
    at += 4
    end = at + length
    if end > len(data):
        raise ValueError("a table is longer than what holds it")
    table: dict[str, Any] = {}
    while at < end:
        stop = at + 1 + data[at]
        raw = data[at + 1 : stop]
        name = _read_names.get(raw)
        if name is None:
            name = raw.decode("utf-8", "surrogatepass")
            if len(_read_names) < _MOST_NAMES:
                _read_names[raw] = name
        letter = data[stop]
        at = stop + 1
        if letter == 83:  # S, by far the most frequent
            (size,) = _U32.unpack_from(data, at)
            at += 4
            stop = at + size
            if stop > end:
                raise ValueError("a text is longer than the table that holds it")
            table[name] = _text(data[at:stop])
            at = stop
        elif letter == 86:  # V
            table[name] = None
        else:
            table[name], at = _read_value(data, at, letter, depth, end)
    if at != end:
        raise ValueError("a table ends in the middle of an entry")
    return table, end


def _text(raw: bytes) -> Any:
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw  # some clients put bytes under the letter of texts


def _read_value(data: bytes, at: int, letter: int, depth: int, end: int) -> tuple[Any, int]:
    number = _NUMBERS.get(letter)
    if number is not None:
        return number.unpack_from(data, at)[0], at + number.size
    if letter == 86:  # V
        return None, at
    if letter == 116:  # t
        return data[at] != 0, at + 1
    if letter == 70:  # F
        return _read_table(data, at, depth + 1)
    if letter in (83, 120):  # S, x
        (size,) = _U32.unpack_from(data, at)
        stop = at + 4 + size
        if stop > end:
            raise ValueError("a value is longer than the table that holds it")
        raw = data[at + 4 : stop]
        return _text(raw) if letter == 83 else raw, stop
    if letter == 65:  # A
        return _read_array(data, at, depth + 1)
    if letter == 84:  # T
        (seconds,) = _U64.unpack_from(data, at)
        return datetime.fromtimestamp(seconds, tz=timezone.utc), at + 8
    if letter == 68:  # D
        (whole,) = _I32.unpack_from(data, at + 1)
        return Decimal(whole).scaleb(-data[at]), at + 5
    raise ValueError(f"a table holds a value of the unknown type {chr(letter)!r}")


def _read_array(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    if depth > _DEEPEST:
        raise ValueError(f"an array is nested more than {_DEEPEST} levels deep")
    (length,) = _U32.unpack_from(data, at)
    at += 4
    end = at + length
    if end > len(data):
        raise ValueError("an array is longer than what holds it")
    items = []
    while at < end:
        value, at = _read_value(data, at + 1, data[at], depth, end)
        items.append(value)
    if at != end:
        raise ValueError("an array ends in the middle of a value")
    return items, end
