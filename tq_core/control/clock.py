"""The clock by which nodes order their messages."""

from __future__ import annotations

import threading
from typing import Any


class LamportClock:
    """A counter that is always ahead of every message seen (Lamport's logical clock). Any thread."""

    def __init__(self) -> None:
        self._value = 0
        self._lock = threading.Lock()

    def forward(self) -> int:
        """Count one event of this process and return the time of it."""
        with self._lock:
            self._value += 1
            return self._value

    def adjust(self, seen: Any) -> None:
        """Take the time of a message into account; what is no whole number counts as 0."""
        other = seen if isinstance(seen, int) and not isinstance(seen, bool) else 0
        with self._lock:
            self._value = max(self._value, other) + 1
