"""Values as MariaDB and MySQL read them in a statement.

The driver writes them one by one and bytes in hexadecimal. Batches of thousands of rows go faster as bytes that are
joined, and bodies stay as long as they are. Source: the literals of the MariaDB Knowledge Base ("String Literals")
and of the MySQL 8.0 Reference Manual, 9.1. Statements are UTF-8, whose sequences contain no quote, and the session's
``sql_mode`` leaves the backslash its meaning; see ``connection.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pymysql

NULL = b"NULL"


def text(value: str) -> bytes:
    """Write a text; what UTF-8 does not know, such as half of a surrogate pair, is spelled out as ``\\ud800``."""
    return b"'" + _escape(value.encode("utf-8", "backslashreplace")) + b"'"


def octets(value: bytes | memoryview | bytearray) -> bytes:
    """Write bytes."""
    return b"_binary'" + _escape(bytes(value)) + b"'"


def number(value: float) -> bytes:
    """Write a number of double precision.

    Raises:
        pymysql.DataError: it is infinite or none at all.
    """
    if not math.isfinite(value):
        raise pymysql.DataError(f"the number {value} cannot be kept")
    return repr(value).encode() if "e" in repr(value) else f"{value!r}e0".encode()


def literal(value: Any) -> bytes:
    """Write a value of any type that the tables have.

    Raises:
        pymysql.DataError: its type is none of them, or it is a number without a value.
    """
    if isinstance(value, str):
        return text(value)
    if value is None:
        return NULL
    if isinstance(value, (bytes, memoryview, bytearray)):
        return octets(value)
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, float):
        return number(value)
    raise pymysql.DataError(f"a value of type {type(value).__name__} cannot be kept")


def listed(values: Iterable[int | str]) -> bytes:
    """Write values for ``IN (…)``."""
    return b",".join([literal(value) for value in values])


def _escape(value: bytes) -> bytes:
    return value.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
