"""Growing and shrinking with the load (``--autoscale=MAX,MIN``)."""

from __future__ import annotations

from time import monotonic

#: Seconds all runners must have been busy before one more is started.
_BUSY_FOR = 1.0
#: Seconds some runner must have been idle before one is stopped.
_IDLE_FOR = 30.0


class Autoscaler:
    """Decides how many runners there should be. Used by the supervisor's thread.

    Args:
        most: runners at most.
        fewest: runners at least.
    """

    def __init__(self, most: int, fewest: int) -> None:
        self.most = max(most, fewest, 1)
        self.fewest = max(1, fewest)
        self._busy_since: float | None = None
        self._idle_since: float | None = None

    def wanted(self, runners: int, busy: int) -> int:
        """Return how many runners there should be.

        Args:
            runners: how many there are.
            busy: how many of them have no free slot.
        """
        now = monotonic()
        if busy >= runners:
            self._idle_since = None
            self._busy_since = now if self._busy_since is None else self._busy_since
            if now - self._busy_since >= _BUSY_FOR:
                self._busy_since = now
                runners += 1
        else:
            self._busy_since = None
            self._idle_since = now if self._idle_since is None else self._idle_since
            if now - self._idle_since >= _IDLE_FOR:
                self._idle_since = now
                runners -= 1
        return min(self.most, max(self.fewest, runners))
