"""Time zones: the one an application's schedules and local times are in."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from tq_core.errors import ImproperlyConfigured
from tq_core.timeutil import UTC


def zone_of(settings: Any) -> tzinfo:
    """Return the zone of the setting ``timezone``; UTC without it, or this machine's where ``enable_utc`` is off.

    Args:
        settings: the application's.

    Raises:
        ImproperlyConfigured: this machine knows no such zone.
    """
    zone = settings.timezone
    if isinstance(zone, tzinfo):
        return zone
    if not zone:
        return UTC if settings.enable_utc else MachineZone()
    if zone.upper() == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ImproperlyConfigured(
            f"timezone {zone!r} is not known on this machine: install its time zones (tzdata), or pip install tzdata"
        ) from error


class MachineZone(tzinfo):
    """The zone that this machine is set to, with its changes between summer and winter."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Return the offset at a local time; of two with the same face, ``fold`` says which one is meant."""
        return None if moment is None else _here(moment).utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:
        """Return nothing: the offset is all that the machine tells."""
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        """Return the name of the offset at a local time."""
        return None if moment is None else _here(moment).tzname()

    def fromutc(self, moment: datetime) -> datetime:
        """Return a time of UTC as local time."""
        local = moment.replace(tzinfo=timezone.utc).astimezone()
        naive = local.replace(tzinfo=None)
        fold = int(naive.replace(fold=0).astimezone().utcoffset() != local.utcoffset())
        return naive.replace(tzinfo=self, fold=fold)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MachineZone)

    def __hash__(self) -> int:
        return hash(MachineZone)

    def __repr__(self) -> str:
        return "<MachineZone>"


def _here(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None).astimezone()
