"""The coordination contract as tests. Subclass :class:`CoordinationConformance` and override its fixture."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from tq_core.contracts.coordination import Coordination
from tq_core.testing.conformance.patience import PATIENCE, Thread, until
from tq_core.testing.conformance.promises import Conformance, promise

#: Seconds a short-lived key lives in these tests.
SHORT = 0.3


class CoordinationConformance(Conformance):
    """Every promise of :mod:`tq_core.contracts.coordination`.

    Override ``coordination``; override ``other`` with a second connection to the same store where there is
    one.
    """

    contract: ClassVar[str] = "coordination"

    @pytest.fixture
    def coordination(self) -> Iterator[Coordination]:
        """An empty store's coordination; to be overridden."""
        raise NotImplementedError("override the fixture `coordination`")

    @pytest.fixture
    def other(self, coordination: Coordination) -> Coordination:
        """A second connection to the same store; the same one unless overridden."""
        return coordination

    # --- locks

    @promise("locks.one-holder", "a lock has one holder")
    def test_a_lock_has_one_holder(self, coordination: Coordination, other: Coordination) -> None:
        token = coordination.acquire(self.name("lock"), "me", 60)
        assert token is not None
        assert other.acquire(self.name("lock"), "you", 60) is None
        assert coordination.acquire(self.name("another"), "you", 60) is not None

    @promise("locks.same-token", "the holder of a lock gets its own token again")
    def test_the_holder_gets_its_own_token_again(self, coordination: Coordination) -> None:
        token = coordination.acquire(self.name("lock"), "me", 60)
        assert coordination.acquire(self.name("lock"), "me", 60) == token

    @promise("locks.release", "a released lock is free, and fencing tokens grow")
    def test_a_released_lock_is_free_and_tokens_grow(self, coordination: Coordination, other: Coordination) -> None:
        first = coordination.acquire(self.name("lock"), "me", 60)
        assert coordination.release(self.name("lock"), "me")
        second = other.acquire(self.name("lock"), "you", 60)
        assert first is not None
        assert second is not None
        assert second > first

    @promise("locks.owner", "only the holder may renew and release a lock")
    def test_only_the_holder_may_renew_and_release(self, coordination: Coordination, other: Coordination) -> None:
        coordination.acquire(self.name("lock"), "me", 60)
        assert not other.renew(self.name("lock"), "you", 60)
        assert not other.release(self.name("lock"), "you")
        assert coordination.renew(self.name("lock"), "me", 60)
        assert coordination.release(self.name("lock"), "me")
        assert not coordination.release(self.name("lock"), "me")
        assert not coordination.renew(self.name("lock"), "me", 60)

    @promise("locks.expiry", "a lock expires, and the next holder's token is larger")
    def test_a_lock_expires_and_its_token_grows(self, coordination: Coordination, other: Coordination) -> None:
        first = coordination.acquire(self.name("lock"), "me", SHORT)
        second = until(lambda: other.acquire(self.name("lock"), "you", 60))
        assert first is not None
        assert second > first
        assert not coordination.renew(self.name("lock"), "me", 60)
        assert not coordination.release(self.name("lock"), "me")

    @promise("locks.renew", "a renewed lock lives on")
    def test_a_renewed_lock_lives_on(self, coordination: Coordination, other: Coordination) -> None:
        coordination.acquire(self.name("lock"), "me", SHORT)
        assert coordination.renew(self.name("lock"), "me", 60)
        coordination.put(self.name("clock"), b"", SHORT)
        until(lambda: coordination.get(self.name("clock")) is None)
        assert other.acquire(self.name("lock"), "you", 60) is None

    @promise("locks.threads", "of many threads, one gets a lock")
    def test_of_many_threads_one_gets_the_lock(self, coordination: Coordination, other: Coordination) -> None:
        barrier = threading.Barrier(8)

        def grab(n: int) -> bool:
            barrier.wait(PATIENCE)
            return (coordination if n % 2 else other).acquire(self.name("lock"), str(n), 60) is not None

        threads = [Thread(lambda n=n: grab(n)) for n in range(8)]  # type: ignore[misc]  # n is bound per thread
        assert sum(thread.result() for thread in threads) == 1

    # --- counters and sets

    @promise("counters.count", "counters count up and down")
    def test_counters_count(self, coordination: Coordination, other: Coordination) -> None:
        assert coordination.count(self.name("n"), 1, 60) == 1
        assert other.count(self.name("n"), 5, 60) == 6
        assert coordination.count(self.name("n"), -2, 60) == 4
        assert coordination.count(self.name("m"), 0, 60) == 0

    @promise("counters.expiry", "counters expire")
    def test_counters_expire(self, coordination: Coordination) -> None:
        coordination.count(self.name("n"), 5, SHORT)
        coordination.put(self.name("clock"), b"", SHORT + 0.1)
        until(lambda: coordination.get(self.name("clock")) is None)
        assert coordination.count(self.name("n"), 1, 60) == 1

    @promise("counters.threads", "no count is lost between threads")
    def test_no_count_is_lost_between_threads(self, coordination: Coordination, other: Coordination) -> None:
        def work(n: int) -> None:
            for _ in range(25):
                (coordination if n % 2 else other).count(self.name("n"), 1, 60)

        threads = [Thread(lambda n=n: work(n)) for n in range(4)]  # type: ignore[misc]  # n is bound per thread
        for thread in threads:
            thread.result()
        assert coordination.count(self.name("n"), 0, 60) == 100

    @promise("sets.members", "sets know their members and their size")
    def test_sets_know_their_members(self, coordination: Coordination, other: Coordination) -> None:
        assert coordination.add(self.name("s"), "a", 60) == (True, 1)
        assert other.add(self.name("s"), "b", 60) == (True, 2)
        assert coordination.add(self.name("s"), "a", 60) == (False, 2)
        assert coordination.add(self.name("t"), "a", 60) == (True, 1)

    @promise("sets.expiry", "sets expire")
    def test_sets_expire(self, coordination: Coordination) -> None:
        coordination.add(self.name("s"), "a", SHORT)
        coordination.put(self.name("clock"), b"", SHORT + 0.1)
        until(lambda: coordination.get(self.name("clock")) is None)
        assert coordination.add(self.name("s"), "a", 60) == (True, 1)

    # --- token buckets

    @promise("buckets.burst", "a token bucket gives its burst, then says how long to wait")
    def test_a_bucket_gives_its_burst_and_then_says_how_long(
        self, coordination: Coordination, other: Coordination
    ) -> None:
        assert [coordination.take(self.name("b"), 0.001, 3) for _ in range(3)] == [0.0, 0.0, 0.0]
        wait = other.take(self.name("b"), 0.001, 3)
        assert 0 < wait <= 1000
        assert other.take(self.name("b2"), 0.001, 3) == 0.0

    @promise("buckets.refused", "a refused take takes nothing")
    def test_a_refused_take_takes_nothing(self, coordination: Coordination) -> None:
        assert coordination.take(self.name("b"), 0.001, 3, tokens=2) == 0.0
        assert coordination.take(self.name("b"), 0.001, 3, tokens=2) > 0
        assert coordination.take(self.name("b"), 0.001, 3, tokens=1) == 0.0

    @promise("buckets.refill", "a token bucket refills")
    def test_a_bucket_refills(self, coordination: Coordination) -> None:
        assert coordination.take(self.name("b"), 10, 1) == 0.0
        assert 0 < coordination.take(self.name("b"), 10, 1) <= 0.1
        until(lambda: coordination.take(self.name("b"), 10, 1) == 0.0)

    # --- values

    @promise("values.kept", "values are kept, replaced and deleted")
    def test_values_are_kept_replaced_and_deleted(self, coordination: Coordination, other: Coordination) -> None:
        assert coordination.get(self.name("k")) is None
        coordination.put(self.name("k"), b"\x00one")
        assert other.get(self.name("k")) == b"\x00one"
        other.put(self.name("k"), b"two", 60)
        assert coordination.get(self.name("k")) == b"two"
        assert other.delete(self.name("k"))
        assert not coordination.delete(self.name("k"))
        assert coordination.get(self.name("k")) is None

    @promise("values.expiry", "values expire")
    def test_values_expire(self, coordination: Coordination) -> None:
        coordination.put(self.name("k"), b"x", SHORT)
        until(lambda: coordination.get(self.name("k")) is None)
        assert not coordination.delete(self.name("k"))
        assert list(coordination.scan(self.name("k"))) == []

    @promise("values.scan", "scan() lists the values of a prefix, by key")
    def test_scan_lists_a_prefix_by_key(self, coordination: Coordination, other: Coordination) -> None:
        for word in ("p/b", "p/a", "q/c", "p%d", "p_e"):
            coordination.put(self.name(word), word.encode())
        assert list(other.scan(self.name("p/"))) == [(self.name("p/a"), b"p/a"), (self.name("p/b"), b"p/b")]
        assert [value for _, value in other.scan(self.name("p_"))] == [b"p_e"]
        assert [value for _, value in other.scan(self.name("p%"))] == [b"p%d"]
