"""Coordination in memory: between the threads of one process, by the clock that no one can set."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

from tq_core import clock
from tq_core.contracts.coordination import Coordination

T = TypeVar("T")


class Expiring(Generic[T]):
    """A mapping whose values die; the dead are swept out when the mapping has doubled. Not thread-safe."""

    def __init__(self) -> None:
        self._items: dict[str, tuple[T, float]] = {}
        self._sweep_at = 1024

    def get(self, key: str) -> T | None:
        """Return a living value, or None."""
        item = self._items.get(key)
        if item is None:
            return None
        if item[1] <= clock.monotonic():
            del self._items[key]
            return None
        return item[0]

    def put(self, key: str, value: T, ttl: float | None) -> None:
        """Keep a value for ``ttl`` seconds, None for ever."""
        self._items[key] = (value, float("inf") if ttl is None else clock.monotonic() + ttl)
        if len(self._items) >= self._sweep_at:
            now = clock.monotonic()
            self._items = {k: item for k, item in self._items.items() if item[1] > now}
            self._sweep_at = max(1024, 2 * len(self._items))

    def pop(self, key: str) -> T | None:
        """Remove a value and return it, or None when it was not alive."""
        value = self.get(key)
        self._items.pop(key, None)
        return value

    def living(self, prefix: str) -> list[tuple[str, T]]:
        """Return the living values whose keys start with ``prefix``, by key."""
        now = clock.monotonic()
        return sorted(
            ((k, v) for k, (v, deadline) in self._items.items() if deadline > now and k.startswith(prefix)),
            key=lambda pair: pair[0],
        )


class MemoryCoordination(Coordination):
    """Locks, counters, sets, token buckets and values of one namespace."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._tokens = itertools.count(1)
        self._locks: Expiring[tuple[str, int]] = Expiring()
        self._counters: Expiring[int] = Expiring()
        self._sets: Expiring[set[str]] = Expiring()
        self._buckets: Expiring[tuple[float, float]] = Expiring()
        self._values: Expiring[bytes] = Expiring()

    def acquire(self, key: str, owner: str, ttl: float) -> int | None:
        """Take the lock ``key``; tokens grow over all keys, so they grow for each."""
        with self._guard:
            held = self._locks.get(key)
            if held is not None and held[0] != owner:
                return None
            token = held[1] if held is not None else next(self._tokens)
            self._locks.put(key, (owner, token), ttl)
            return token

    def renew(self, key: str, owner: str, ttl: float) -> bool:
        """Prolong a lock one holds."""
        with self._guard:
            held = self._locks.get(key)
            if held is None or held[0] != owner:
                return False
            self._locks.put(key, held, ttl)
            return True

    def release(self, key: str, owner: str) -> bool:
        """Give up a lock."""
        with self._guard:
            held = self._locks.get(key)
            if held is None or held[0] != owner:
                return False
            self._locks.pop(key)
            return True

    def count(self, key: str, by: int, ttl: float) -> int:
        """Add ``by`` to a counter and return the new value."""
        with self._guard:
            value = (self._counters.get(key) or 0) + by
            self._counters.put(key, value, ttl)
            return value

    def add(self, key: str, member: str, ttl: float) -> tuple[bool, int]:
        """Add to a set; return whether it was new, and the set's size."""
        with self._guard:
            members = self._sets.get(key) or set()
            new = member not in members
            members.add(member)
            self._sets.put(key, members, ttl)
            return new, len(members)

    def take(self, key: str, rate: float, burst: float, tokens: float = 1.0) -> float:
        """Take from a token bucket, or return the seconds until the tokens would be there."""
        with self._guard:
            now = clock.monotonic()
            level, then = self._buckets.get(key) or (burst, now)
            level = min(burst, level + (now - then) * rate)
            missing = tokens - level
            if missing <= 0:
                level -= tokens
            # A bucket that had time to fill up is as good as a new one and need not be remembered.
            self._buckets.put(key, (level, now), (burst - level) / rate + 1.0 if rate > 0 else None)
            if missing <= 0:
                return 0.0
            return missing / rate if rate > 0 else float("inf")

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Keep a value."""
        with self._guard:
            self._values.put(key, value, ttl)

    def get(self, key: str) -> bytes | None:
        """Return a value, or None."""
        with self._guard:
            return self._values.get(key)

    def delete(self, key: str) -> bool:
        """Delete a value; False when there was none."""
        with self._guard:
            return self._values.pop(key) is not None

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Iterate over the live values whose keys start with ``prefix``, by key."""
        with self._guard:
            return iter(self._values.living(prefix))
