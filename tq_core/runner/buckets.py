"""Token buckets that all runners of a node share: one row of shared memory for each task with a rate limit.

A row is found by the hash of the task's name, so runners agree on it without a word, whatever their order of imports.
A file lock guards the rows; the system lets go of it when a process dies. Times are of the monotonic clock, which the
processes of one machine share.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

if sys.platform == "win32":
    import msvcrt
    import os
else:
    import fcntl

#: hash of the name (all zero: free), tokens, when they were counted, the last place in line that was given, and when
#: the last message without a place comes back
_ROW = struct.Struct("=16sdddd")
_FREE = bytes(16)
#: Rows, and the bytes of all of them.
ROWS = 8192
SIZE = ROWS * _ROW.size
#: What was computed by multiplying and adding may miss by a hair.
_HAIR = 1e-9
#: A message that may start within so many seconds gets a place in line and comes back just then. All others come back
#: after that time to ask again, so that none is away for hours when the limit is lifted; one by one, at this distance,
#: so that few of many come in vain.
_AHEAD, _DISTANCE = 5.0, 0.02


class Buckets:
    """The buckets of one node. Used by one thread of each runner, the transport thread.

    Args:
        memory: shared by the node's processes.
        start: where the rows begin in it.
        handle: of an open file, the same one in all processes, to be locked.
    """

    def __init__(self, memory: mmap.mmap, start: int, handle: int) -> None:
        self._memory = memory
        self._start = start
        self._handle = handle
        self._places: dict[str, int] = {}

    def take(self, name: str, rate: float, burst: float) -> float:
        """Take a token of a task.

        Args:
            name: of the task.
            rate: tokens a second.
            burst: most tokens.

        Returns:
            0.0 when it was taken, else the seconds until there is one.
        """
        with self._locked():
            at, now = self._place(name), monotonic()
            digest, tokens, since, place, back = _ROW.unpack_from(self._memory, at)
            tokens = min(burst, tokens + (now - since) * rate) if since else burst
            if tokens + _HAIR < 1.0:
                return float((1.0 - tokens) / rate)
            _ROW.pack_into(self._memory, at, digest, max(0.0, tokens - 1.0), now, place, back)
            return 0.0

    def send_away(self, name: str, interval: float, wait: float) -> float:
        """Return the seconds for which one more message of a task is to be away.

        Args:
            name: of the task.
            interval: seconds between two starts of it.
            wait: seconds until the next one.
        """
        with self._locked():
            at, now = self._place(name), monotonic()
            digest, tokens, since, place, back = _ROW.unpack_from(self._memory, at)
            until = max(place + interval, now + wait)
            if until <= now + _AHEAD:
                place = until
            else:
                until = back = max(back + min(interval, _DISTANCE), now + _AHEAD)
            _ROW.pack_into(self._memory, at, digest, tokens, since, place, back)
            return float(until - now)

    def _place(self, name: str) -> int:
        """Return where the row of a task is, and take a free one for a new task; called with the lock held."""
        place = self._places.get(name)
        if place is None:
            digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            first = int.from_bytes(digest[:8], "little")
            for step in range(ROWS):
                place = self._start + (first + step) % ROWS * _ROW.size
                found = self._memory[place : place + 16]
                if found in (digest, _FREE):
                    break
            else:
                raise OverflowError(f"more than {ROWS} tasks have a rate limit")
            self._memory[place : place + 16] = digest
            self._places[name] = place
        return place

    @contextmanager
    def _locked(self) -> Iterator[None]:
        _lock(self._handle)
        try:
            yield
        finally:
            _unlock(self._handle)


if sys.platform == "win32":

    def _lock(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)

    def _unlock(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:

    def _lock(handle: int) -> None:
        fcntl.lockf(handle, fcntl.LOCK_EX, 1)

    def _unlock(handle: int) -> None:
        fcntl.lockf(handle, fcntl.LOCK_UN, 1)
