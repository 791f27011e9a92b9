"""The one place that tells the time by which tasks are due, expire, and are forgotten.

``now`` and ``monotonic`` are looked up in this module at each use (``clock.now()``, never ``from … import now``), so
that a test can put other functions in their places; see :mod:`tq_core.testing.virtual_clock`. Leases, limits and
time-outs are about this machine and its connections: they keep to :mod:`time`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# Functions of our own, because libraries that freeze time put theirs in the place of time's wherever they find those,
# and would put them in the place of a test's clock as well.


def wall_time() -> float:
    """Return the machine's time in Unix seconds."""
    return time.time()


def lifetime() -> float:
    """Return seconds that only ever grow, whatever the machine's clock is set to."""
    return time.monotonic()


def stand_by(until: float) -> None:
    """Take note that nothing in this process can run before ``until`` (Unix seconds); real time takes no note."""


#: Return the present time in Unix seconds.
now: Callable[[], float] = wall_time
#: Return seconds that only ever grow, for life spans.
monotonic: Callable[[], float] = lifetime
#: Called by queues that live in this process when all that is left in them is not due. Their lock may be held.
idle: Callable[[float], None] = stand_by
