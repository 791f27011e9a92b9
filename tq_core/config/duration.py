"""Lengths of time as people write them: ``250ms``, ``5m``, ``1h30m``, ``PT5M``, or a number of seconds."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

from tq_core.config.mistake import WrongValue

#: What every message calls a duration.
EXPECTED = "a duration: seconds, or a text such as '250ms', '30s', '5m', '1h30m', '1d' or 'PT5M'"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)"
_NUMBER = re.compile(r"\s*\d+(?:\.\d+)?\s*")
_PARTS = re.compile(rf"\s*{_PART}(?:\s*{_PART})*\s*")
_ONE_PART = re.compile(_PART)
_ISO = re.compile(
    r"\s*P(?=.)(?:(?P<w>\d+(?:\.\d+)?)W)?(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?=.)(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?\s*"
)

#: The texts that are durations, as a pattern of JSON Schema.
PATTERN = r"^\s*(\d+(\.\d+)?|(\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*)+|P(\d+(\.\d+)?[WD])*(T(\d+(\.\d+)?[HMS])+)?)\s*$"


def parse_duration(value: Any) -> float:
    """Turn a duration into seconds.

    Args:
        value: a number of seconds, a timedelta, or a text in one of the forms above.

    Returns:
        Seconds, not negative.

    Raises:
        WrongValue: it is not a duration, or negative.
    """
    seconds = _seconds(value)
    if seconds is None or seconds < 0 or math.isnan(seconds):
        raise WrongValue(EXPECTED, value)
    return seconds


def _seconds(value: Any) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    if _NUMBER.fullmatch(value):
        return float(value)
    if _PARTS.fullmatch(value):
        return math.fsum(float(number) * _SECONDS[unit] for number, unit in _ONE_PART.findall(value))
    iso = _ISO.fullmatch(value)
    if iso:
        return math.fsum(float(number) * _SECONDS[unit] for unit, number in iso.groupdict().items() if number)
    return None
