"""Points in time as they travel: ISO 8601 texts on the wire, Unix seconds inside.

Every function is pure and may be called from any thread.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime, timedelta, timezone, tzinfo

from tq_core import clock

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[Tt ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9})\d*)?)?)?)?"
    r"\s*(?:([Zz])|([+-])(\d\d)(?::?(\d\d)(?::?(\d\d))?)?)?",
    re.ASCII,
)
#: From 3.11 on the standard library reads every form that peers write.
_NATIVE = sys.version_info >= (3, 11)


def now() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.fromtimestamp(clock.now(), UTC)


def parse_iso(text: str) -> datetime:
    """Read an ISO 8601 date or date and time, in any form a Celery peer in any language writes.

    Args:
        text: such as ``2026-11-21T02:51:22.760261+00:00``, ``2026-11-21T02:51Z`` or ``20261121T025122+0100``.

    Returns:
        a datetime, naive if the text names no zone.

    Raises:
        ValueError: the text is no such date.
    """
    if _NATIVE:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    return _parse(text)


def _parse(text: str) -> datetime:
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an ISO 8601 date and time: {text[:64]!r}")
    year, month, day, hour, minute, second, fraction, zulu, sign, off_h, off_m, off_s = match.groups()
    zone: tzinfo | None = None
    if zulu:
        zone = UTC
    elif sign:
        offset = timedelta(hours=int(off_h), minutes=int(off_m or 0), seconds=int(off_s or 0))
        zone = timezone(-offset if sign == "-" else offset)
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    return datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micro, zone)


def utc_if_naive(moment: datetime) -> datetime:
    """Return an aware datetime as it is, and a naive one as a time of UTC, which is how Celery reads it."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def to_unix(moment: datetime, *, local: bool = False) -> float:
    """Return a datetime as Unix seconds.

    Args:
        moment: aware, or naive and then taken as UTC.
        local: take a naive time in this machine's zone instead (protocol 1 with ``utc`` false).

    Raises:
        ValueError: the local zone cannot express the time.
    """
    if moment.tzinfo is None:
        if local:
            try:
                return moment.timestamp()
            except (OverflowError, OSError) as error:
                raise ValueError(f"{moment.isoformat()} is outside what the local zone covers") from error
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH).total_seconds()


def unix_from_iso(text: str, *, local: bool = False) -> float:
    """Read an ISO 8601 text as Unix seconds; a time without a zone is UTC, or local time if ``local``.

    Raises:
        ValueError: the text is no date and time.
    """
    return to_unix(parse_iso(text), local=local)


def from_unix(seconds: float) -> datetime:
    """Return Unix seconds as an aware datetime in UTC.

    Raises:
        ValueError: it lies outside the years 1 to 9999, or is no number.
    """
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"{seconds!r} s is outside the years 1 to 9999") from error


def format_iso(moment: datetime | float | None = None) -> str:
    """Write a time as Celery does: aware, UTC offset spelt ``+00:00``.

    Args:
        moment: a datetime (naive means UTC), Unix seconds, or None for the present.

    Raises:
        ValueError: the number lies outside the years 1 to 9999.
    """
    if moment is None:
        moment = clock.now()
    if not isinstance(moment, datetime):
        return from_unix(moment).isoformat()
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.isoformat()
