"""The kinds of values settings have: how each looks in a file, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta, tzinfo
from typing import Any

from tq_core.config import duration, queues, routes, schedules, size, task_annotations
from tq_core.config.mistake import WrongValue
from tq_core.config.nearness import nearest
from tq_core.config.setting import Kind

_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_RATE = r"^\s*\d+(\.\d+)?\s*(/\s*(s|m|h))?\s*$"
_DURATION_SCHEMA = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": duration.PATTERN}]}
_SIZE_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": size.PATTERN}]}
_STRINGS_SCHEMA = {"type": "array", "items": {"type": "string"}}


def _anything(value: Any) -> Any:
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongValue(STRING.expected, value)
    return value


def _bool(value: Any) -> bool:
    if isinstance(value, (bool, int)) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    raise WrongValue(BOOL.expected, value)


def _whole(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> int | float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def integer(minimum: int | None = None, maximum: int | None = None) -> Kind:
    """Make the kind of whole numbers from ``minimum`` to ``maximum``, both included."""
    bounds = {key: bound for key, bound in (("minimum", minimum), ("maximum", maximum)) if bound is not None}
    expected = "a whole number"
    if minimum is not None and maximum is not None:
        expected += f" from {minimum} to {maximum}"
    elif minimum is not None:
        expected += f", {minimum} or more"

    def coerce(value: Any) -> int:
        whole = _whole(value)
        if whole is None or (minimum is not None and whole < minimum) or (maximum is not None and whole > maximum):
            raise WrongValue(expected, value)
        return whole

    return Kind("integer", expected, {"type": "integer", **bounds}, coerce)


def choice(*words: str) -> Kind:
    """Make the kind of values that are one of a few words."""
    expected = "one of " + ", ".join(repr(word) for word in words)

    def coerce(value: Any) -> str:
        if value not in words:
            raise WrongValue(expected, value, nearest=nearest(value, words))
        return str(value)

    return Kind(" \\| ".join(words), expected, {"enum": list(words)}, coerce)


def either(name: str, *kinds: Kind, expected: str | None = None) -> Kind:
    """Make the kind of values that are of one of several kinds; the first that accepts a value reads it."""
    words = expected or ", or ".join(kind.expected for kind in kinds)

    def coerce(value: Any) -> Any:
        for kind in kinds:
            try:
                return kind.coerce(value)
            except WrongValue:
                continue
        raise WrongValue(words, value)

    structured = any(kind.structured for kind in kinds)
    return Kind(name, words, {"anyOf": [dict(kind.schema) for kind in kinds]}, coerce, structured)


def _float(value: Any) -> int | float:
    number = _number(value)
    if number is None or number < 0:
        raise WrongValue(NUMBER.expected, value)
    return number


def _retries(value: Any) -> int | float:
    if value == float("inf") or value in ("inf", ".inf"):
        return float("inf")
    retries: int = COUNT.coerce(value)
    return retries


def _seconds(value: Any) -> int | float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return value
    return duration.parse_duration(value)


def _expiry(value: Any) -> int | float | timedelta:
    if isinstance(value, timedelta) and value >= timedelta(0):
        return value
    if isinstance(value, str) and _number(value) is None:
        return timedelta(seconds=duration.parse_duration(value))
    return _seconds(value)


def _kilobytes(value: Any) -> int:
    if isinstance(value, str) and _whole(value) is None:
        return size.parse_size(value) // 1024
    kilobytes: int = POSITIVE.coerce(value)
    return kilobytes


def _mapping(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise WrongValue(MAPPING.expected, value)
    return dict(value) if type(value) is not dict else value


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise WrongValue(NAMES.expected, value)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise WrongValue("a text", item, (index,))
    return tuple(sorted(value) if isinstance(value, (set, frozenset)) else value)


def _content(value: Any) -> tuple[str, ...]:
    accepted = _strings(value)
    if not accepted:
        raise WrongValue(CONTENT.expected, value)
    return accepted


def _url(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        return list(value)
    raise WrongValue(URL.expected, value)


def _rate(value: Any) -> str | int | float:
    import re

    if isinstance(value, str) and re.match(_RATE, value):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return value
    raise WrongValue(RATE.expected, value)


def _timezone(value: Any) -> Any:
    if isinstance(value, tzinfo):
        return value
    if not isinstance(value, str):
        raise WrongValue(TIMEZONE.expected, value)
    if value.upper() == "UTC":
        return value
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        # A machine without a time-zone database knows no zone at all, which is no mistake of the file.
        if known:
            raise WrongValue(TIMEZONE.expected, value, nearest=nearest(value, known)) from None
    return value


def _reference(value: Any) -> Any:
    if isinstance(value, str) or callable(value):
        return value
    raise WrongValue(REFERENCE.expected, value)


def _structure(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Check a structured value by reading it, and keep what the user gave.

    Programs that assign Queue objects or functions expect to read the same ones back.
    """

    def coerce(value: Any) -> Any:
        read(value)
        return value

    return coerce


ANY = Kind("any", "any value", {}, _anything, structured=True)
STRING = Kind("string", "a text", {"type": "string"}, _string)
PATH = Kind("path", "the path of a file", {"type": "string"}, lambda value: _string(_as_path(value)))
BOOL = Kind("boolean", "true or false", {"type": "boolean"}, _bool)
INTEGER = integer()
COUNT = integer(0)
POSITIVE = integer(1)
PRIORITY = integer(0, 255)
PORT = integer(0, 65535)
NUMBER = Kind("number", "a number, 0 or more", {"type": "number", "minimum": 0}, _float)
RETRIES = Kind(
    "integer \\| inf",
    "a whole number, 0 or more, or .inf",
    {"anyOf": [{"type": "integer", "minimum": 0}, {"enum": ["inf"]}, {"type": "number", "minimum": 1e308}]},
    _retries,
)
DURATION = Kind("duration", duration.EXPECTED, _DURATION_SCHEMA, _seconds)
EXPIRY = Kind("duration", duration.EXPECTED, _DURATION_SCHEMA, _expiry)
SIZE = Kind("size", size.EXPECTED, _SIZE_SCHEMA, size.parse_size)
KILOBYTES = Kind("size in KiB", "a number of KiB, 1 or more, or a text such as '200MiB'", _SIZE_SCHEMA, _kilobytes)
MAPPING = Kind("mapping", "a mapping", {"type": "object"}, _mapping, structured=True)
NAMES = Kind(
    "list of texts",
    "a list of texts",
    {"anyOf": [_STRINGS_SCHEMA, {"type": "string"}]},
    _strings,
)
CONTENT = Kind(
    "list of texts",
    "a list of at least one serializer or content type",
    {"anyOf": [{**_STRINGS_SCHEMA, "minItems": 1}, {"type": "string", "minLength": 1}]},
    _content,
)
URL = Kind(
    "URL",
    "a URL or a name, or a list of URLs to fail over to",
    {"anyOf": [{"type": "string"}, {**_STRINGS_SCHEMA, "minItems": 1}]},
    _url,
)
RATE = Kind(
    "rate",
    "a rate such as '10/s', '100/m' or '1000/h', or a number of tasks a second",
    {"anyOf": [{"type": "string", "pattern": _RATE}, {"type": "number", "minimum": 0}]},
    _rate,
)
TIMEZONE = Kind("time zone", "the name of a time zone, such as 'Europe/Oslo' or 'UTC'", {"type": "string"}, _timezone)
REFERENCE = Kind(
    "dotted path",
    "the dotted path of a class or function, or the object itself",
    {"type": "string"},
    _reference,
)
ADDRESS = Kind("URL", "a URL, a name or a dotted path", {"type": "string"}, _reference)
LEVEL = Kind(
    "log level",
    "a log level: DEBUG, INFO, WARNING, ERROR, CRITICAL or a number",
    {
        "anyOf": [
            {"enum": ["DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL"]},
            {"type": "integer", "minimum": 0},
        ]
    },
    either("log level", choice("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL"), COUNT).coerce,
)
TLS = either("boolean \\| mapping", BOOL, MAPPING, expected="true, false, or a mapping of TLS options")
CONCURRENCY = either("integer \\| auto", COUNT, choice("auto"), expected="a whole number, or 'auto'")
DELIVERY_MODE = either(
    "delivery mode",
    integer(1, 2),
    choice("transient", "persistent"),
    expected="1 or 'transient', or 2 or 'persistent'",
)
QUEUES = Kind(
    "queues",
    "a list of queues, each a name or a mapping with a 'name', or a mapping of queues by name",
    queues.SCHEMA,
    _structure(queues.queue_specs),
    structured=True,
)
ROUTES = Kind(
    "routes",
    "a mapping of task names or patterns to a queue or a mapping of options, or a list of such",
    routes.SCHEMA,
    _structure(routes.route_rules),
    structured=True,
)
ANNOTATIONS = Kind(
    "annotations",
    "a mapping of task names to mappings of task attributes, or a list of such",
    task_annotations.SCHEMA,
    _structure(task_annotations.check_annotations),
    structured=True,
)
SCHEDULE = Kind(
    "schedule",
    "a mapping of entry names to mappings with a 'task' and a 'schedule'",
    schedules.SCHEMA,
    schedules.schedule_entries,
    structured=True,
)


def _as_path(value: Any) -> Any:
    return str(value) if hasattr(value, "__fspath__") else value
