"""What a rate limit says, and where it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

#: Where a limit holds: in each worker node, or in all nodes of the deployment together.
WORKER, DEPLOYMENT = "worker", "deployment"

_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/\s*([smh]))?\s*")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
#: Seconds whose starts may come all at once: above a hundred a second, single starts would wait for the clock.
_AT_ONCE = 0.01


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate limit.

    Attributes:
        per_second: most starts a second.
        scope: ``worker`` or ``deployment``.
    """

    per_second: float
    scope: str = WORKER

    @property
    def interval(self) -> float:
        """Seconds between two starts."""
        return 1.0 / self.per_second

    @property
    def burst(self) -> float:
        """Starts that may come at once; one, up to a hundred a second."""
        return max(1.0, self.per_second * _AT_ONCE)


def parse_rate(limit: Any) -> float:
    """Return a limit in starts a second; 0.0 means none.

    Args:
        limit: None, a number of starts a second, or a text such as ``"100/m"`` (``s``, ``m`` or ``h``).

    Raises:
        ValueError: it is none of these.
    """
    if not limit:
        return 0.0
    if isinstance(limit, (int, float)) and not isinstance(limit, bool) and 0 < limit < float("inf"):
        return float(limit)
    found = _PATTERN.fullmatch(limit) if isinstance(limit, str) else None
    if found is None:
        raise ValueError(f"{limit!r:.60} is no rate limit: expected starts a second, or '5/s', '100/m', '20/h'")
    return float(found[1]) / _SECONDS[found[2] or "s"]


def rate_of(limit: Any, scope: Any) -> Rate | None:
    """Return what a task's ``rate_limit`` and ``rate_limit_scope`` amount to, None where it has no limit.

    Raises:
        ValueError: the limit, or where it holds, cannot be read.
    """
    per_second = parse_rate(limit)
    if not per_second:
        return None
    if scope not in (WORKER, DEPLOYMENT):
        raise ValueError(f"{scope!r:.60} is no scope of a rate limit: expected {WORKER!r} or {DEPLOYMENT!r}")
    return Rate(per_second, scope)
