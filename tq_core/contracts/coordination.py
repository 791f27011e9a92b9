"""The contract of coordination: a few atomic, expiring primitives shared by all nodes.

Offered by backends with the ``coordination`` capability. All times are seconds; expiry is judged by the server's
clock or, where processes share a machine, by a clock that no one can set. Every method may be called from any
thread, and raises ``BackendUnavailable`` when the store does not answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator


class Coordination(ABC):
    """Locks, counters, sets, token buckets and flags."""

    @abstractmethod
    def acquire(self, key: str, owner: str, ttl: float) -> int | None:
        """Take the lock ``key`` for ``ttl`` seconds.

        Returns:
            a fencing token, larger than that of every earlier holder, or None when somebody else holds it.
            The holder itself gets its token again and a fresh ``ttl``.
        """

    @abstractmethod
    def renew(self, key: str, owner: str, ttl: float) -> bool:
        """Prolong a lock one holds; False when it was lost."""

    @abstractmethod
    def release(self, key: str, owner: str) -> bool:
        """Give up a lock; False when it was not held by ``owner``."""

    @abstractmethod
    def count(self, key: str, by: int, ttl: float) -> int:
        """Add ``by`` to a counter, which lives ``ttl`` more seconds, and return the new value."""

    @abstractmethod
    def add(self, key: str, member: str, ttl: float) -> tuple[bool, int]:
        """Add to a set, which lives ``ttl`` more seconds; return whether it was new, and the set's size."""

    @abstractmethod
    def take(self, key: str, rate: float, burst: float, tokens: float = 1.0) -> float:
        """Take from a token bucket that refills at ``rate`` a second up to ``burst``.

        Returns:
            0.0 when the tokens were taken; otherwise the seconds until they would be there (nothing taken).
        """

    @abstractmethod
    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Keep a value, for ``ttl`` seconds or until deleted."""

    @abstractmethod
    def get(self, key: str) -> bytes | None:
        """Return a value, or None when there is none or it expired."""

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Delete a value; False when there was none."""

    @abstractmethod
    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Iterate over the live values whose keys start with ``prefix``, by key."""
