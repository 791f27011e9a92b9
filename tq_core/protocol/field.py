"""Checks of single fields of foreign messages: each returns the field as promised, or says what is wrong.

Callers test the usual case themselves, in line, and come here only for the unusual one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

from tq_core.errors import InvalidTaskError
from tq_core.timeutil import to_unix, unix_from_iso


def refuse(field: str, value: Any, expected: str, *, private: bool = False) -> NoReturn:
    """Raise an ``InvalidTaskError`` naming the field, what it holds and what it should hold.

    Args:
        field: its name.
        value: what it holds; only its type is told when ``private``, as arguments of tasks belong in no log.
        expected: what it should hold.
        private: see ``value``.
    """
    shown = f" {value!r:.60}" if type(value) in (str, int, float, bool) and not private else ""
    raise InvalidTaskError(
        f"malformed task message: {field} is {type(value).__name__}{shown}, expected {expected}; "
        "its sender must be corrected"
    )


def required_text(fields: Mapping[str, Any], field: str) -> str:
    """Return a text that is not empty."""
    value = text(fields, field)
    if not value:
        refuse(field, value, "a text that is not empty")
    return value


#: No id is longer; result stores and logs count on it.
LONGEST_ID = 255


def identifier(fields: Mapping[str, Any], field: str) -> str:
    """Return a text that names something, in logs too: no control characters, which could forge a line there."""
    value = required_text(fields, field)
    if len(value) > LONGEST_ID:
        refuse(field, value, f"a text of at most {LONGEST_ID} characters")
    if not value.isprintable():
        refuse(field, value, "a text without control characters")
    return value


def title(fields: Mapping[str, Any], field: str) -> str | None:
    """Return a text that stands in logs, or None when absent."""
    value = text(fields, field)
    if value and not value.isprintable():
        refuse(field, value, "a text without control characters")
    return value


def text(fields: Mapping[str, Any], field: str) -> str | None:
    """Return a text that UTF-8 can express, or None when absent."""
    value = fields.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        refuse(field, value, "text")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            refuse(field, ascii(value), "text without lone surrogates")
    return str(value)


def moment(fields: Mapping[str, Any], field: str, *, local: bool = False) -> float | None:
    """Return a point in time as Unix seconds.

    A datetime is taken as well as ISO text: pickle, and AMQP's own header types, carry such. A number is
    refused, since it might as well count seconds from now.
    """
    value = fields.get(field)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            return unix_from_iso(value, local=local)
        if isinstance(value, datetime):
            return to_unix(value, local=local)
    except (ValueError, OverflowError):
        refuse(field, value, "an ISO 8601 date and time")
    refuse(field, value, "an ISO 8601 date and time, or null")


def count(fields: Mapping[str, Any], field: str) -> int:
    """Return a whole number from 0 up; absent or null is 0.

    A number written as a text is refused: Celery takes it in and fails when it counts on.
    """
    value = fields.get(field)
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():  # languages that know only one kind of number
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 31:
        refuse(field, value, "a whole number from 0 up")
    return value


def optional_count(fields: Mapping[str, Any], field: str) -> int | None:
    """Return :func:`count`, or None when absent."""
    return None if fields.get(field) is None else count(fields, field)


def time_limits(fields: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return the hard and the soft limit in seconds."""
    value = fields.get("timelimit")
    if value is None:
        return None, None
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        refuse("timelimit", value, "a list of two: hard and soft limit in seconds")
    for limit in value:
        if limit is None:
            continue
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 <= limit < 1e10:
            refuse("timelimit", limit, "seconds from 0 up, or null")
    return value[0], value[1]


def flag(fields: Mapping[str, Any], field: str, default: bool = False) -> bool:
    """Return a yes or no; null is ``default``, and 0 and 1 are taken for what they mean."""
    value = fields.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    refuse(field, value, "true or false")


def signatures(fields: Mapping[str, Any], field: str) -> list[Any] | None:
    """Return a list of signature maps, or None."""
    value = fields.get(field)
    if value is None:
        return None
    if isinstance(value, dict):  # senders before 4.0 sent a lone signature
        value = [value]
    if not isinstance(value, (list, tuple)):
        refuse(field, value, "a list of signatures, or null")
    for item in value:
        signature(item, field)
    return list(value)


def signature(value: Any, field: str) -> Any:
    """Return one signature map, whose inner form is checked when it is built into a call."""
    if value is not None and not (isinstance(value, dict) and isinstance(value.get("task"), str)):
        refuse(field, value, "a signature: a map with a task name")
    return value


def arguments(value: Any) -> Any:
    """Return positional arguments."""
    if not isinstance(value, (list, tuple)):
        refuse("args", value, "a list", private=True)
    return value


def keywords(value: Any) -> dict[str, Any]:
    """Return keyword arguments."""
    if not isinstance(value, dict):
        refuse("kwargs", value, "a map", private=True)
    for key in value:
        if not isinstance(key, str):
            refuse("a key of kwargs", key, "text", private=True)
    return value


def stamps(fields: Mapping[str, Any]) -> tuple[list[str] | None, dict[str, Any]]:
    """Return the names and the values of stamps."""
    names, values = fields.get("stamped_headers"), fields.get("stamps")
    if isinstance(names, (set, frozenset)):  # from a pickling sender
        names = sorted(names, key=str)
    if names is not None and not (isinstance(names, (list, tuple)) and all(isinstance(n, str) for n in names)):
        refuse("stamped_headers", names, "a list of texts, or null")
    if values is not None and not isinstance(values, dict):
        refuse("stamps", values, "a map")
    return (None if names is None else list(names)), values or {}


def remark(fields: Mapping[str, Any], field: str) -> str | None:
    """Return a text that serves the log only; anything else in its place is as good as none."""
    value = fields.get(field)
    if not isinstance(value, str):
        return None
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
