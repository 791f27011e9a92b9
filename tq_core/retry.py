"""How long to wait before trying something again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any


def backoff(factor: float, retries: int, maximum: float, jitter: bool) -> float:
    """Return the seconds before the next try: ``factor`` doubled with each retry, up to ``maximum``.

    Args:
        factor: seconds before the first retry.
        retries: retries made so far.
        maximum: seconds, the most ever waited.
        jitter: pick a random time between 0 and that, so that many tasks do not come back at once.
    """
    seconds = min(maximum, factor * 2.0 ** min(retries, 60))
    return random.uniform(0, seconds) if jitter else max(0.0, seconds)


def delays(first: float = 0.05, step: float = 2.0, most: float = 2.0) -> Iterator[float]:
    """Yield growing waits in seconds, for ever."""
    wait = first
    while True:
        yield wait * random.uniform(0.75, 1.0)
        wait = min(most, wait * step)


def waits_of(policy: Mapping[str, Any]) -> Iterator[float]:
    """Yield the waits of a retry policy in seconds, and end when it allows no further try.

    Args:
        policy: ``max_retries`` (None or below 0 for no end), ``interval_start``, ``interval_step`` and
            ``interval_max`` in seconds; an entry that is missing is as Celery's own.
    """
    most = policy.get("max_retries", 3)
    wait, step, longest = (
        float(policy.get(name, usual))
        for name, usual in (("interval_start", 0.0), ("interval_step", 0.2), ("interval_max", 1.0))
    )
    tries = 0
    while most is None or most < 0 or tries < most:
        yield min(wait, longest)
        wait += step
        tries += 1
