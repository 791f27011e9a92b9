"""JSON in the dialect of kombu, as fast as msgspec and as exact as the standard library.

A value JSON has no form for travels as a map of exactly two keys, ``{"__type__": word, "__value__": form}``;
:data:`_READERS` has the words. msgspec has forms of its own for such values and differs in some corners, so
it is used only where both agree:

- *writing*: msgspec's text is kept when every part of the value is a plain ``str``, ``int``, ``bool``,
  ``None``, finite ``float``, ``list``, ``tuple`` or ``dict`` with text keys. Anything else is written by the
  standard library: other keys, subclasses, NaN and Infinity, lone surrogates, dates, ``__json__``.
- *reading*: msgspec's value is kept unless it fails or the text may hold a wrapped value.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from tq_core.contracts.serializer import Serializer
from tq_core.errors import DecodeError, EncodeError
from tq_core.timeutil import parse_iso

try:
    import msgspec
except ImportError:  # a platform without its wheel: everything takes the exact way
    _fast_write: Callable[[Any], bytes] | None = None
    _fast_read: Callable[[bytes], Any] | None = None
else:
    _fast_write = msgspec.json.Encoder().encode
    _fast_read = msgspec.json.Decoder().decode

_PLAIN = frozenset({str, int, bool, type(None)})
#: What the parts of a task's body are called in an error's path.
_BODY_PARTS = ("args", "kwargs", "embed")
_DEEPEST_PATH = 200


def _is_plain(value: Any) -> bool:
    """Tell whether both writers agree on a value; it must not contain itself."""
    stack = [(value,)]
    pop, push = stack.pop, stack.append
    plain = _PLAIN
    while stack:
        part: Any = pop()
        if type(part) is dict:
            for key in part:
                if type(key) is not str:
                    return False
            part = part.values()
        for item in part:
            kind = type(item)
            if kind in plain:
                continue
            if kind is list or kind is dict or kind is tuple:
                if item:
                    push(item)
            elif kind is not float or item - item != 0.0:  # NaN and both infinities differ from themselves
                return False
    return True


def _wrap(kind: str, form: Any) -> dict[str, Any]:
    return {"__type__": kind, "__value__": form}


def _is_lazy_text(value: Any) -> bool:
    """Tell a Django lazy string, without importing Django: only where it is loaded can there be one."""
    functional = sys.modules.get("django.utils.functional")
    promise = getattr(functional, "Promise", None)
    return isinstance(promise, type) and isinstance(value, promise)


def _write_special(value: Any) -> Any:  # called by the standard library for what it cannot write
    own_form = getattr(value, "__json__", None)
    if own_form is not None:
        return own_form()
    if _is_lazy_text(value):
        return str(value)
    if isinstance(value, datetime):  # before date, of which it is a kind
        return _wrap("datetime", value.isoformat())
    if isinstance(value, date):
        return _wrap("date", value.isoformat())
    if isinstance(value, time):
        return _wrap("time", value.isoformat())
    if isinstance(value, Decimal):
        return _wrap("decimal", str(value))
    if isinstance(value, UUID):
        return _wrap("uuid", {"hex": value.hex})
    if isinstance(value, bytes):
        try:
            return _wrap("bytes", value.decode("utf-8"))
        except UnicodeDecodeError:
            return _wrap("base64", base64.b64encode(value).decode("ascii"))
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_READERS: dict[str, Callable[[Any], Any]] = {
    "datetime": parse_iso,
    "date": lambda form: parse_iso(form).date(),
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": lambda form: UUID(hex=form["hex"]),
    "bytes": lambda form: form.encode("utf-8"),
    "base64": lambda form: base64.b64decode(form.encode("ascii")),
}


def _read_special(pairs: dict[str, Any]) -> Any:  # called by the standard library for every map
    if len(pairs) != 2 or "__type__" not in pairs or "__value__" not in pairs:
        return pairs
    kind = pairs["__type__"]
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise ValueError(f"unknown __type__ {kind!r:.60}; known are {', '.join(_READERS)}")
    return reader(pairs["__value__"])


_exact_write = json.JSONEncoder(default=_write_special).encode
_exact_read = json.JSONDecoder(object_hook=_read_special).decode


class JSONSerializer(Serializer):
    """Celery's JSON, the default format."""

    name = "json"
    content_type = "application/json"
    content_encoding = "utf-8"

    def dumps(self, value: Any) -> bytes:
        """Write a value.

        Raises:
            EncodeError: a part of it has no JSON form; the text has its type and place (``args[0]['x']``).
        """
        if _fast_write is not None:
            try:
                data = _fast_write(value)
            except Exception:  # msgspec's refusals are of many kinds; the exact writer decides
                pass
            else:
                if _is_plain(value):
                    return data
        try:
            return _exact_write(value).encode("ascii")
        except Exception as error:  # __json__ and repr are foreign code
            raise EncodeError(_complaint(value, error)) from error

    def loads(self, data: bytes) -> Any:
        """Read a text.

        Raises:
            DecodeError: it is no JSON, is nested too deeply, or wraps an unknown or malformed value.
        """
        if (
            _fast_read is not None
            and b"__type__" not in data
            and b"\\u00" not in data  # spells ASCII letters, and so might spell __type__
        ):
            try:
                return _fast_read(data)
            except Exception:  # msgspec's refusals are of many kinds; the exact reader decides
                pass
        try:
            return _exact_read(bytes(data).decode("utf-8"))
        except RecursionError:
            raise DecodeError("JSON is nested too deeply to be read") from None
        except Exception as error:  # whatever foreign data brings about in any of the readers
            raise DecodeError(f"JSON cannot be read: {type(error).__name__}: {error!s:.200}") from error


def _complaint(value: Any, error: Exception) -> str:
    """Say what in ``value`` cannot be written, and where it is."""
    if isinstance(error, RecursionError):
        return "JSON cannot hold a value nested this deeply (or one that contains itself)"
    if isinstance(error, ValueError) and "ircular" in str(error):
        return "JSON cannot hold a value that contains itself"
    place, culprit = _locate(value, "", 0) or ("", value)
    parts = _BODY_PARTS if _is_body(value) else ()
    for number, part in enumerate(parts):
        if place.startswith(f"[{number}]"):
            place = part + place[3:]
    where = place or "the value itself"
    kind = type(culprit)
    reason = f" ({type(error).__name__}: {error!s:.200})" if not isinstance(error, TypeError) else ""
    return (
        f"JSON has no form for {kind.__module__}.{kind.__qualname__}, found at {where}{reason}; "
        f"pass plain values, give the class a __json__ method, or choose another task_serializer"
    )


def _is_body(value: Any) -> bool:
    """Tell whether a value is the body of a task message."""
    return isinstance(value, (list, tuple)) and len(value) == 3 and isinstance(value[2], dict)


def _locate(value: Any, place: str, depth: int) -> tuple[str, Any] | None:
    """Find the first part that cannot be written, depth first."""
    if depth > _DEEPEST_PATH:
        return place, value
    if isinstance(value, dict):
        for key, item in value.items():
            if key is not None and not isinstance(key, (str, int, float)):
                return f"{place or 'the top'} (key {_short(key)})", key
            found = _locate(item, f"{place}[{_short(key)}]", depth + 1)
            if found:
                return found
        return None
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            found = _locate(item, f"{place}[{index}]", depth + 1)
            if found:
                return found
        return None
    try:
        _exact_write(value)
    except Exception:  # foreign code, see dumps
        return place, value
    return None


def _short(key: Any) -> str:
    try:
        text = repr(key)
    except Exception:  # a key's repr is foreign code
        text = f"<{type(key).__name__}>"
    return text if len(text) <= 60 else text[:57] + "..."
