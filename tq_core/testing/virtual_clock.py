"""A clock that stands still until a test moves it, so that an hour's wait takes no time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from tq_core import clock
from tq_core.brokers import memory
from tq_core.timeutil import from_unix, to_unix, unix_from_iso


class VirtualClock:
    """The time that tq goes by in a test: when tasks are due, when they and their results expire.

    It starts at the next full second and stands still. Only tq reads it: ``time.time()`` and ``datetime.now()`` in
    tasks go on as ever, and so do time limits. Safe to use from any thread.

    Attributes:
        jumps: whenever nothing can run before a later time, because all that waits is not due, the clock goes there.
    """

    def __init__(self) -> None:
        self.jumps = False
        self._lock = threading.Lock()
        # Rounded up: what a test takes for the present, from datetime.now(), is then not in the clock's future.
        self._now = float(math.ceil(time.time()))
        self._lived = time.monotonic()

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that grow with the clock, and stay when it goes back."""
        return self._lived

    @property
    def moment(self) -> datetime:
        """The time, aware, in UTC."""
        return from_unix(self._now)

    def advance(self, by: float | timedelta) -> datetime:
        """Let time pass.

        Args:
            by: seconds, or a ``timedelta``.

        Returns:
            the new time.

        Raises:
            ValueError: ``by`` is negative; :meth:`travel_to` goes back.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else float(by)
        if seconds < 0:
            raise ValueError(f"time does not pass backwards: advance({by!r}); travel_to() goes to any time")
        with self._lock:
            self._set(self._now + seconds)
        memory.wake_all()
        return self.moment

    def travel_to(self, moment: datetime | float | str) -> datetime:
        """Go to a time, later or earlier.

        Args:
            moment: a datetime (naive means UTC), Unix seconds, or an ISO 8601 text.

        Returns:
            the new time.

        Raises:
            ValueError: the text is no date and time.
        """
        with self._lock:
            self._set(_unix(moment))
        memory.wake_all()
        return self.moment

    @contextmanager
    def jumping(self) -> Iterator[None]:
        """While entered, the clock :attr:`jumps`."""
        outer, self.jumps = self.jumps, True
        memory.wake_all()
        try:
            yield
        finally:
            self.jumps = outer

    def idle(self, until: float) -> None:
        """Take note that nothing can run before ``until`` (Unix seconds); called by the queues."""
        if self.jumps:
            with self._lock:
                self._set(max(self._now, until))

    def _set(self, seconds: float) -> None:
        self._lived += max(0.0, seconds - self._now)
        self._now = seconds

    def __repr__(self) -> str:
        return f"<VirtualClock {self.moment.isoformat()}{', jumps' if self.jumps else ''}>"


def _unix(moment: datetime | float | str) -> float:
    if isinstance(moment, datetime):
        return to_unix(moment)
    return unix_from_iso(moment) if isinstance(moment, str) else float(moment)


@contextmanager
def virtual_time() -> Iterator[VirtualClock]:
    """While entered, all of tq in this process goes by a new :class:`VirtualClock`."""
    outer = clock.now, clock.monotonic, clock.idle
    virtual = VirtualClock()
    clock.now, clock.monotonic, clock.idle = virtual.now, virtual.monotonic, virtual.idle
    try:
        yield virtual
    finally:
        clock.now, clock.monotonic, clock.idle = outer
        memory.wake_all()
