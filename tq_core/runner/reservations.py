"""How many messages a runner may reserve beyond those it runs.

One, as long as tasks are long or unknown, so that no message waits here while a slot is free elsewhere. While batches
finish within some 20 milliseconds the allowance doubles, so that short tasks travel in batches. A reservation that has
waited longer than the patience behind a running task is handed back.
"""

from __future__ import annotations

from collections import deque
from time import monotonic

#: A batch that finishes within this many seconds lets the allowance double.
_QUICK = 0.020
#: Larger batches gain nothing more and cost latency.
_MOST = 256


class Reservations:
    """The allowance of one runner. Used by its transport thread only.

    Args:
        slots: slots of the pool.
        patience: seconds a reservation may wait behind a running task.
        bound: most messages held in all (an explicit ``worker_prefetch_multiplier`` times the slots), 0 for none.
        total: most messages ever run (``worker_max_tasks_per_child``), 0 for no limit.

    Attributes:
        waiting: messages in hand that wait for their rate limit; they are no reservations, but count for ``bound``.
    """

    __slots__ = (
        "_batch_since",
        "_batch_until",
        "_batches",
        "_bound",
        "_ended",
        "_submitted",
        "_total",
        "allowance",
        "patience",
        "slots",
        "waiting",
    )

    def __init__(self, slots: int, patience: float, bound: int = 0, total: int = 0) -> None:
        self.slots = slots
        self.patience = patience
        self.allowance = 0
        self.waiting = 0
        self._bound = bound
        self._total = total
        self._submitted = 0
        self._ended = 0
        self._batch_until = 0
        self._batch_since = 0.0
        # (jobs submitted up to and including this batch, when), oldest first, while some of it has not started
        self._batches: deque[tuple[int, float]] = deque()

    @property
    def held(self) -> int:
        """Messages running or reserved."""
        return self._submitted - self._ended

    def room(self) -> int:
        """Return how many messages may be received now."""
        most = self.slots + self.allowance
        if self._bound:
            most = min(most, max(self._bound, self.slots))
        # Refill when half has been worked off: larger batches, and the slots never run dry meanwhile.
        free = most - self.held - (self.waiting if self._bound else 0)
        if self._total:
            # Never below 0: the allowance may have shrunk below what is held already.
            return max(0, min(free, self._total - self._submitted))
        return free if free * 2 >= most or self.held < self.slots else 0

    def free_slots(self) -> int:
        """Return how many jobs would start at once if they were given to the pool now; may be negative."""
        free = self.slots - self.held
        return min(free, self._total - self._submitted) if self._total else free

    def may_keep(self) -> bool:
        """Tell whether one more message may wait in hand for its rate limit."""
        return self.held + self.waiting < max(self._bound, self.slots) if self._bound else self.waiting < _MOST

    def submitted(self, count: int) -> None:
        """Note that ``count`` jobs were given to the pool."""
        now = monotonic()
        self._submitted += count
        self._batches.append((self._submitted, now))
        if not self._batch_until:
            self._batch_since = now
            self._batch_until = self._submitted

    def ended(self, count: int) -> None:
        """Note that ``count`` jobs ended, and learn from how long their batch took."""
        self._ended += count
        if self._batch_until and self._ended >= self._batch_until:
            quick = monotonic() - self._batch_since <= _QUICK
            self.allowance = min(_MOST, max(1, self.allowance * 2)) if quick else self.allowance // 2
            self._batch_until = 0

    def overdue_in(self) -> float | None:
        """Return the seconds until waiting reservations should be handed back; None when nothing waits."""
        started = self._ended + self.slots
        batches = self._batches
        while batches and batches[0][0] <= started:
            batches.popleft()
        return max(0.0, batches[0][1] + self.patience - monotonic()) if batches else None

    def handed_back(self, count: int) -> None:
        """Note that ``count`` reservations were given back unstarted; start small again."""
        self._submitted -= count
        self.allowance = 0
        self._batch_until = 0
        self._batches.clear()
