"""The entries of ``beat_schedule``: the YAML forms of Celery's schedule objects, as plain data.

A schedule is a number of seconds or a duration, ``{every: 30s}``, ``{crontab: "*/5 * * * *"}``,
``{crontab: {minute: "*/5"}}`` or ``{solar: {event: sunset, lat: 59.9, lon: 10.7}}``. Schedule objects and
timedeltas of Python programs pass through untouched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tq_core.config import duration
from tq_core.config.mistake import WrongValue
from tq_core.config.nearness import nearest

#: The five fields of a crontab line, in its order.
CRONTAB_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
#: The moments of the sun a solar schedule may name.
SOLAR_EVENTS = (
    "dawn_astronomical",
    "dawn_nautical",
    "dawn_civil",
    "sunrise",
    "solar_noon",
    "sunset",
    "dusk_civil",
    "dusk_nautical",
    "dusk_astronomical",
)

_EXPECTED = "a duration, {every: …}, {crontab: …} or {solar: …}"
_FIELD = r"^[0-9A-Za-z*/,\-\s]+$"
_FIVE = re.compile(r"\s*\S+(\s+\S+){4}\s*")
_ENTRY_KEYS = ("task", "schedule", "args", "kwargs", "options", "relative", "enabled")
_CRONTAB_KEYS = (*CRONTAB_FIELDS, "timezone")

_PERIOD: dict[str, Any] = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": duration.PATTERN}]}
_CRON_FIELD = {
    "anyOf": [
        {"type": "string", "pattern": _FIELD},
        {"type": "integer", "minimum": 0},
        {"type": "array", "items": {"type": "integer", "minimum": 0}},
    ]
}
_SCHEDULE: dict[str, Any] = {
    "anyOf": [
        *_PERIOD["anyOf"],
        {
            "type": "object",
            "properties": {
                "every": _PERIOD,
                "relative": {"type": "boolean"},
                "crontab": {
                    "description": "five fields such as '*/5 * * * *', or a mapping of fields",
                    "anyOf": [
                        {"type": "string", "pattern": r"^\s*\S+(\s+\S+){4}\s*$"},
                        {
                            "type": "object",
                            "properties": {
                                **dict.fromkeys(CRONTAB_FIELDS, _CRON_FIELD),
                                "timezone": {"type": "string"},
                            },
                            "additionalProperties": False,
                        },
                    ],
                },
                "solar": {
                    "type": "object",
                    "properties": {
                        "event": {"enum": list(SOLAR_EVENTS)},
                        "lat": {"type": "number", "minimum": -90, "maximum": 90},
                        "lon": {"type": "number", "minimum": -180, "maximum": 180},
                    },
                    "required": ["event", "lat", "lon"],
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
            "minProperties": 1,
        },
    ]
}

#: The JSON Schema of ``beat_schedule`` in a YAML file.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "properties": {
            "task": {"type": "string", "minLength": 1},
            "schedule": _SCHEDULE,
            "args": {"type": "array"},
            "kwargs": {"type": "object"},
            "options": {"type": "object"},
            "relative": {"type": "boolean"},
            "enabled": {"type": "boolean"},
        },
        "required": ["task", "schedule"],
        "additionalProperties": False,
    },
}


def schedule_entries(value: Any) -> dict[str, Any]:
    """Read ``beat_schedule``.

    Args:
        value: entries by name, each a mapping with a ``task`` and a ``schedule``, or a program's own entry
            object.

    Returns:
        The same entries; durations are seconds, and a crontab line is a mapping of its fields.

    Raises:
        WrongValue: an entry cannot be read; its path leads to the wrong part.
    """
    if not isinstance(value, Mapping):
        raise WrongValue("a mapping of entry names to entries", value)
    entries: dict[str, Any] = value if isinstance(value, dict) else dict(value)
    changed = {}
    for name, entry in entries.items():
        try:
            read = _entry(entry)
        except WrongValue as wrong:
            raise wrong.below(name) from None
        if read is not entry:
            changed[name] = read
    # A program may go on filling the mapping it assigned, so it is copied only if something had to change.
    return {**entries, **changed} if changed else entries


def _entry(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        if hasattr(entry, "schedule"):
            return entry
        raise WrongValue("a mapping with a 'task' and a 'schedule'", entry)
    for key in entry:
        if key not in _ENTRY_KEYS:
            raise WrongValue("one of " + ", ".join(_ENTRY_KEYS), key, (key,), nearest(key, _ENTRY_KEYS))
    for key in ("task", "schedule"):
        if key not in entry:
            raise WrongValue(f"an entry with a {key!r}", entry)
    try:
        schedule = read_schedule(entry["schedule"])
    except WrongValue as wrong:
        raise wrong.below("schedule") from None
    return entry if schedule is entry["schedule"] else {**entry, "schedule": schedule}


def read_schedule(value: Any) -> Any:
    """Read one schedule.

    Args:
        value: any form named above.

    Returns:
        Seconds, ``{"every": seconds}``, ``{"crontab": {field: text}}``, ``{"solar": {…}}``, or the object
        given.

    Raises:
        WrongValue: it is none of the forms.
    """
    if isinstance(value, str):
        return duration.parse_duration(value)
    if isinstance(value, (int, float, timedelta)) and not isinstance(value, bool):
        duration.parse_duration(value)
        return value
    if not isinstance(value, Mapping):
        if hasattr(value, "is_due"):
            return value
        raise WrongValue(_EXPECTED, value)
    kinds = [key for key in ("every", "crontab", "solar") if key in value]
    if len(kinds) != 1:
        raise WrongValue(_EXPECTED, dict(value))
    for key in value:
        if key not in (kinds[0], "relative"):
            raise WrongValue(_EXPECTED, key, (key,), nearest(key, ("every", "crontab", "solar", "relative")))
    read = {"every": duration.parse_duration, "crontab": _crontab, "solar": _solar}[kinds[0]]
    try:
        return {**value, kinds[0]: read(value[kinds[0]])}
    except WrongValue as wrong:
        raise wrong.below(kinds[0]) from None


def _crontab(value: Any) -> dict[str, Any]:
    if isinstance(value, str) and _FIVE.fullmatch(value):
        value = dict(zip(CRONTAB_FIELDS, value.split(), strict=True))
    if not isinstance(value, Mapping):
        raise WrongValue("five fields such as '*/5 * * * *', or a mapping of fields", value)
    for key, field in value.items():
        if key not in _CRONTAB_KEYS:
            raise WrongValue("one of " + ", ".join(_CRONTAB_KEYS), key, (key,), nearest(key, _CRONTAB_KEYS))
        if isinstance(field, str) and key != "timezone" and not re.match(_FIELD, field):
            raise WrongValue("a crontab field such as '*/5', '1-5' or 'mon,fri'", field, (key,))
    return dict(value)


def _solar(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or set(value) != {"event", "lat", "lon"}:
        raise WrongValue("a mapping of 'event', 'lat' and 'lon'", value)
    if value["event"] not in SOLAR_EVENTS:
        raise WrongValue(
            "one of " + ", ".join(SOLAR_EVENTS),
            value["event"],
            ("event",),
            nearest(value["event"], SOLAR_EVENTS),
        )
    for key, limit in (("lat", 90), ("lon", 180)):
        if not isinstance(value[key], (int, float)) or abs(value[key]) > limit:
            raise WrongValue(f"degrees from -{limit} to {limit}", value[key], (key,))
    return dict(value)
