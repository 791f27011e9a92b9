"""Waking where the server wakes nobody: sockets for the processes of a machine, and looks for all others.

Whoever waits is rung by those of his own machine. What others commit he finds by looking: often while something has
just been going on, ever more rarely when nothing comes, and never less than once in :data:`RAREST` seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection

from tq_sqlalchemy.waking import RING, Bell, Doorbell

#: Seconds until the first look of a wait and between the last ones; each pause is longer than the one before by GROWTH.
FIRST, RAREST, GROWTH = 0.01, 0.5, 1.3


class LookingBell(Bell):
    """A bell whose owner stops waiting, having heard nothing, when it is time to look.

    Args:
        bell: the one that others ring.
    """

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._announced = False
        self._pause = FIRST
        self._look_at = math.inf

    def announce(self) -> None:
        if not self._announced:
            self._announced = True
            self._look_soon()
        self._bell.announce()

    def retract(self) -> None:
        self._announced = False
        self._look_at = math.inf
        self._bell.retract()

    def wait(self, timeout: float) -> list[bytes]:
        until_look = self._look_at - time.monotonic()
        heard = self._bell.wait(min(timeout, max(until_look, 0.0)))
        if heard:
            if self._announced:
                self._look_soon()
            return heard
        if until_look <= timeout:
            self._pause = min(self._pause * GROWTH, RAREST)
            self._look_at = time.monotonic() + self._pause
        return []

    def _look_soon(self) -> None:
        self._pause = FIRST
        self._look_at = time.monotonic() + FIRST

    def wake(self) -> None:
        self._bell.wake()

    def close(self) -> None:
        self._bell.close()


class LookingDoorbell(Doorbell):
    """The bells around a database that several machines may use.

    Args:
        local: rings those of this machine.
    """

    def __init__(self, local: Doorbell) -> None:
        self._local = local
        self.largest = local.largest  # type: ignore[misc]  # of whichever doorbell rings

    def bell(self, kind: str, names: Collection[str] = ()) -> Bell:
        return LookingBell(self._local.bell(kind, names))

    def ring(self, kind: str, name: str, count: int, payload: bytes = RING) -> None:
        self._local.ring(kind, name, count, payload)

    def anyone(self, kind: str) -> bool:
        return self._local.anyone(kind)

    def close(self) -> None:
        self._local.close()
