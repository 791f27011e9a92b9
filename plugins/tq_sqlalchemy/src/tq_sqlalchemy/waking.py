"""How those who wait are woken: everybody who waits owns a bell, and those who commit something ring.

A ring is a hint and may get lost: who waits also looks at the database by itself now and then.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar

#: What a bell's owner sends itself.
WAKE = b"w"

#: What a ring says that says nothing in particular.
RING = b"r"

#: What a ring says that cannot say all it should: look for everything.
LOOK = b"*"

#: Seconds between the looks of somebody who waits: quick at first, then rarer.
FIRST_LOOK, LAST_LOOK = 0.25, 1.0

#: A parked message due within so many seconds wakes somebody, who then waits for just that moment. Others are seen by
#: the looks in between.
SOON = 2.0


class Bell:
    """Somebody's place to wait. This one hears only its owner."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def announce(self) -> None:
        """Be found by those who ring: what is committed after this is rung for."""

    def retract(self) -> None:
        """Be found no longer."""

    def wait(self, timeout: float) -> list[bytes]:
        """Wait up to ``timeout`` seconds for a ring; return the payloads that came, oldest first."""
        if self._event.wait(max(timeout, 0.0)):
            self._event.clear()
            return [WAKE]
        return []

    def wake(self) -> None:
        """Ring oneself; from any thread."""
        self._event.set()

    def close(self) -> None:
        """Take the bell down. May be called twice."""


class Doorbell(ABC):
    """The bells around one database. Any thread may ring.

    Bells are of a kind: ``consumers``, ``watchers`` or ``listeners``.
    """

    #: Longest payload of a ring, in bytes.
    largest: ClassVar[int]

    @abstractmethod
    def bell(self, kind: str, names: Collection[str] = ()) -> Bell:
        """Hang up a bell.

        Args:
            kind: one of those named above.
            names: queues or channels it waits for; none means all.
        """

    @abstractmethod
    def ring(self, kind: str, name: str, count: int, payload: bytes = RING) -> None:
        """Ring about ``count`` waiting bells of ``kind`` that wait for ``name``; called after the commit.

        Never raises, and takes no longer than the database's own bound.
        """

    @abstractmethod
    def anyone(self, kind: str) -> bool:
        """True when a bell of ``kind`` may be waiting."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what ringing needs."""


class SilentDoorbell(Doorbell):
    """Rings nobody; those who wait look by themselves."""

    largest = 32_768

    def bell(self, kind: str, names: Collection[str] = ()) -> Bell:
        return Bell()

    def ring(self, kind: str, name: str, count: int, payload: bytes = RING) -> None:
        pass

    def anyone(self, kind: str) -> bool:
        return False

    def close(self) -> None:
        pass
