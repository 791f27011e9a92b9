"""Python values as CBOR (RFC 8949).

An item begins with a byte whose upper three bits are its major type and whose lower five are a number, or say in how
many bytes the number follows.
"""

from __future__ import annotations

import struct
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

#: The major types.
UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)

#: Tags of the registry at https://www.iana.org/assignments/cbor-tags.
DATE_TIME, BIG_POSITIVE, BIG_NEGATIVE, DECIMAL_FRACTION, BINARY_UUID, FULL_DATE = 0, 2, 3, 4, 37, 1004

_CONSTANTS = {False: b"\xf4", True: b"\xf5", None: b"\xf6"}


def write(value: Any, out: bytearray) -> None:
    """Append a value to ``out``.

    Raises:
        TypeError: CBOR, or this plugin, has no form for a value of this type.
        ValueError: the type is known, but this value has no form.
        RecursionError: it contains itself.
    """
    if value is None or value is True or value is False:
        out += _CONSTANTS[value]
    elif isinstance(value, str):
        data = value.encode()
        _head(TEXT, len(data), out)
        out += data
    elif isinstance(value, int):
        _write_int(value, out)
    elif isinstance(value, float):
        out += struct.pack(">Bd", 0xFB, value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _head(BYTES, memoryview(value).nbytes, out)
        out += value
    elif isinstance(value, (list, tuple)):
        _head(ARRAY, len(value), out)
        for item in value:
            write(item, out)
    elif isinstance(value, dict):
        _head(MAP, len(value), out)
        for key, item in value.items():
            write(key, out)
            write(item, out)
    else:
        _write_tagged(value, out)


def _head(major: int, number: int, out: bytearray) -> None:
    first = major << 5
    if number < 24:
        out.append(first | number)
    elif number < 1 << 8:
        out += struct.pack(">BB", first | 24, number)
    elif number < 1 << 16:
        out += struct.pack(">BH", first | 25, number)
    elif number < 1 << 32:
        out += struct.pack(">BI", first | 26, number)
    else:
        out += struct.pack(">BQ", first | 27, number)


def _write_int(value: int, out: bytearray) -> None:
    number = value if value >= 0 else -1 - value
    if number < 1 << 64:
        _head(UNSIGNED if value >= 0 else NEGATIVE, number, out)
    else:
        _head(TAG, BIG_POSITIVE if value >= 0 else BIG_NEGATIVE, out)
        write(number.to_bytes((number.bit_length() + 7) // 8, "big"), out)


def _write_tagged(value: Any, out: bytearray) -> None:
    tag: int
    form: Any
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone, and CBOR dates must have one")
        tag, form = DATE_TIME, value.isoformat()
    elif isinstance(value, date):
        tag, form = FULL_DATE, value.isoformat()
    elif isinstance(value, UUID):
        tag, form = BINARY_UUID, value.bytes
    elif isinstance(value, Decimal):
        tag, form = DECIMAL_FRACTION, _fraction(value)
    else:
        raise TypeError(f"{type(value).__name__} has no form in it")
    _head(TAG, tag, out)
    write(form, out)


def _fraction(value: Decimal) -> list[int]:
    """Return exponent and mantissa."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is not finite")
    mantissa = int("".join(map(str, digits)))
    return [exponent, -mantissa if sign else mantissa]
