"""How long to wait before trying something again."""

from __future__ import annotations

import random
from collections.abc import Iterator


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
