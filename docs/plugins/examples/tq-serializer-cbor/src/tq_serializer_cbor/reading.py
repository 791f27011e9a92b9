"""CBOR (RFC 8949) as Python values: what this plugin wrote, and what other implementations may have written."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tq_core.timeutil import parse_iso

from tq_serializer_cbor.writing import (
    ARRAY,
    BIG_NEGATIVE,
    BIG_POSITIVE,
    BINARY_UUID,
    DATE_TIME,
    DECIMAL_FRACTION,
    FULL_DATE,
    MAP,
    NEGATIVE,
    SIMPLE,
    TAG,
    TEXT,
    UNSIGNED,
)

#: Byte that ends an item of indefinite length.
_BREAK = 0xFF
#: Number that stands for an indefinite length.
_INDEFINITE = -1
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_CONSTANTS = {20: False, 21: True, 22: None, 23: None}


class Reader:
    """Reads one value. Whatever the data says, it reads no further than their end."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def whole(self) -> Any:
        """Return the only value in the data.

        Raises:
            ValueError: the data is malformed, or goes on after the value.
            TypeError: a map's key is a list or a map.
            ArithmeticError: a decimal is out of Python's range.
            RecursionError: it is nested too deeply.
        """
        value = self._item()
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes are left over")
        return value

    def _take(self, count: int) -> memoryview:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise ValueError(f"it ends {count - len(taken)} bytes too early")
        self._at += count
        return taken

    def _ends_here(self) -> bool:
        """Step over a break, if one comes next."""
        if self._take(1)[0] == _BREAK:
            return True
        self._at -= 1
        return False

    def _item(self) -> Any:
        first = self._take(1)[0]
        major, low = first >> 5, first & 31
        if major == SIMPLE:
            return self._simple(low)
        number = self._number(low)
        if number == _INDEFINITE and major in (UNSIGNED, NEGATIVE, TAG):
            raise ValueError(f"the byte {first:#x} at {self._at - 1} begins no item")
        if major == UNSIGNED:
            return number
        if major == NEGATIVE:
            return -1 - number
        if major == ARRAY:
            return self._array(number)
        if major == MAP:
            return self._map(number)
        if major == TAG:
            return _tagged(number, self._item())
        data = self._chunks(major) if number == _INDEFINITE else bytes(self._take(number))
        return data.decode() if major == TEXT else data

    def _number(self, low: int) -> int:
        if low < 24:
            return low
        if low < 28:
            return int.from_bytes(self._take(1 << (low - 24)), "big")
        if low == 31:
            return _INDEFINITE
        raise ValueError(f"the byte at {self._at - 1} begins no item")

    def _simple(self, low: int) -> Any:
        if low in _FLOATS:
            return struct.unpack(_FLOATS[low], self._take(1 << (low - 24)))[0]
        if low not in _CONSTANTS:
            raise ValueError(f"the simple value {low} is unknown")
        return _CONSTANTS[low]

    def _array(self, length: int) -> list[Any]:
        if length == _INDEFINITE:
            items = []
            while not self._ends_here():
                items.append(self._item())
            return items
        return [self._item() for _ in range(length)]

    def _map(self, length: int) -> dict[Any, Any]:
        pairs = {}
        while length and not (length == _INDEFINITE and self._ends_here()):
            key = self._item()
            pairs[key] = self._item()
            length -= length != _INDEFINITE
        return pairs

    def _chunks(self, major: int) -> bytes:
        """Join the parts of a text or byte string whose length was not known when it was begun."""
        data = bytearray()
        while not self._ends_here():
            first = self._take(1)[0]
            if first >> 5 != major or (length := self._number(first & 31)) == _INDEFINITE:
                raise ValueError(f"the byte at {self._at - 1} begins no part of a string")
            data += self._take(length)
        return bytes(data)


def _tagged(tag: int, form: Any) -> Any:
    reader = _READERS.get(tag)
    if reader is None:
        raise ValueError(f"the tag {tag} is unknown; known are {', '.join(map(str, _READERS))}")
    return reader(form)


def _date_time(form: Any) -> datetime:
    if not isinstance(form, str):
        raise ValueError(f"{form!r:.60} is no date")
    return parse_iso(form)


def _full_date(form: Any) -> date:
    return date.fromisoformat(form)


def _unsigned(form: Any) -> int:
    return int.from_bytes(_bytes(form), "big")


def _bytes(form: Any) -> bytes:
    if not isinstance(form, bytes):
        raise ValueError(f"{form!r:.60} is no byte string")
    return form


def _decimal(form: Any) -> Decimal:
    exponent, mantissa = form
    if type(exponent) is not int or type(mantissa) is not int:
        raise ValueError(f"{form!r:.60} is no decimal fraction")
    return Decimal((int(mantissa < 0), tuple(map(int, str(abs(mantissa)))), exponent))


_READERS: Mapping[int, Callable[[Any], Any]] = {
    DATE_TIME: _date_time,
    BIG_POSITIVE: _unsigned,
    BIG_NEGATIVE: lambda form: -1 - _unsigned(form),
    DECIMAL_FRACTION: _decimal,
    BINARY_UUID: lambda form: UUID(bytes=_bytes(form)),
    FULL_DATE: _full_date,
}
