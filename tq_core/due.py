"""When a call is due and when it expires: of what callers give, the point in time that travels.

A point in time is told by :mod:`tq_core.clock` and is in UTC. Counting from now happens once, here: what follows
compares points in time, which no change of a zone's offset moves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tq_core import clock
from tq_core.errors import ImproperlyConfigured
from tq_core.timeutil import from_unix, to_unix, unix_from_iso, utc_if_naive

#: Options by which something waits for the call's end. A worker has to see such a call, also when it has expired.
_FOLLOWING = ("chord", "chain", "link_error")


def due_of(options: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Return when a call is due, as Unix time and as the header's text; (None, None) for at once.

    Args:
        options: ``countdown`` (seconds, or a timedelta), which goes before ``eta``: a datetime, where a naive one is
            in UTC, or ISO 8601 text.

    Raises:
        ImproperlyConfigured: one of them is no time.
    """
    countdown = options.get("countdown")
    if countdown is not None:
        seconds = _seconds("countdown", countdown)
        if seconds:
            return _after("countdown", seconds)
    eta = options.get("eta")
    return (None, None) if eta is None else _point("eta", eta)


def expiry_of(options: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Return after how many seconds a broker may drop a call, or None, and when it expires, as the header's text.

    Args:
        options: ``expires``, as seconds, a timedelta, a datetime or ISO 8601 text.

    Raises:
        ImproperlyConfigured: it is no time.
    """
    expires = options.get("expires")
    if expires is None:
        return None, None
    if isinstance(expires, (str, datetime)):
        moment, text = _point("expires", expires)
        seconds = moment - clock.now()
    else:
        seconds = _seconds("expires", expires)
        _, text = _after("expires", seconds)
    if any(options.get(name) for name in _FOLLOWING):
        return None, text  # a broker that drops the message says nothing to the chord or chain that waits
    # A broker that is told 0 drops the call unless a worker waits at that moment; a worker says that it has expired.
    return (seconds if seconds > 0 else None), text


def _after(option: str, seconds: float) -> tuple[float, str]:
    moment = clock.now() + seconds
    try:
        return moment, from_unix(moment).isoformat()
    except ValueError as error:
        raise ImproperlyConfigured(f"{option} {seconds:g}: {error}") from None


def _point(option: str, value: Any) -> tuple[float, str]:
    if isinstance(value, datetime):
        moment = utc_if_naive(value)
        return to_unix(moment), moment.isoformat()
    if isinstance(value, str):
        try:
            return unix_from_iso(value), value
        except ValueError:
            pass
    raise ImproperlyConfigured(f"{option} must be a datetime or an ISO 8601 text, not {value!r:.80}")


def _seconds(option: str, value: Any) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if math.isfinite(seconds):
        return seconds
    raise ImproperlyConfigured(f"{option} must be a number of seconds, not {value!r:.80}")
