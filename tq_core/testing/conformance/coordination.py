"""The coordination contract as tests. Subclass :class:`CoordinationConformance` and override its fixture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tq_core.contracts.coordination import Coordination
from tq_core.testing.conformance.patience import PATIENCE, Thread

#: Seconds a short-lived key lives in these tests.
SHORT = 0.3


def until(condition: Callable[[], Any]) -> Any:
    """Ask again and again until ``condition`` answers with something true; fail when it never does."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not (answer := condition()):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        pause.wait(0.02)
    return answer


class CoordinationConformance:
    """Every promise of :mod:`tq_core.contracts.coordination`.

    Override ``coordination``; override ``other`` with a second connection to the same store where there is
    one.
    """

    @pytest.fixture
    def coordination(self) -> Iterator[Coordination]:
        """An empty store's coordination; to be overridden."""
        raise NotImplementedError("override the fixture `coordination`")

    @pytest.fixture
    def other(self, coordination: Coordination) -> Coordination:
        """A second connection to the same store; the same one unless overridden."""
        return coordination

    # --- locks

    def test_a_lock_has_one_holder(self, coordination: Coordination, other: Coordination) -> None:
        token = coordination.acquire("lock", "me", 60)
        assert token is not None
        assert other.acquire("lock", "you", 60) is None
        assert coordination.acquire("another", "you", 60) is not None

    def test_the_holder_gets_its_own_token_again(self, coordination: Coordination) -> None:
        token = coordination.acquire("lock", "me", 60)
        assert coordination.acquire("lock", "me", 60) == token

    def test_a_released_lock_is_free_and_tokens_grow(self, coordination: Coordination, other: Coordination) -> None:
        first = coordination.acquire("lock", "me", 60)
        assert coordination.release("lock", "me")
        second = other.acquire("lock", "you", 60)
        assert first is not None
        assert second is not None
        assert second > first

    def test_only_the_holder_may_renew_and_release(self, coordination: Coordination, other: Coordination) -> None:
        coordination.acquire("lock", "me", 60)
        assert not other.renew("lock", "you", 60)
        assert not other.release("lock", "you")
        assert coordination.renew("lock", "me", 60)
        assert coordination.release("lock", "me")
        assert not coordination.release("lock", "me")
        assert not coordination.renew("lock", "me", 60)

    def test_a_lock_expires_and_its_token_grows(self, coordination: Coordination, other: Coordination) -> None:
        first = coordination.acquire("lock", "me", SHORT)
        second = until(lambda: other.acquire("lock", "you", 60))
        assert first is not None
        assert second > first
        assert not coordination.renew("lock", "me", 60)
        assert not coordination.release("lock", "me")

    def test_a_renewed_lock_lives_on(self, coordination: Coordination, other: Coordination) -> None:
        coordination.acquire("lock", "me", SHORT)
        assert coordination.renew("lock", "me", 60)
        coordination.put("clock", b"", SHORT)
        until(lambda: coordination.get("clock") is None)
        assert other.acquire("lock", "you", 60) is None

    def test_of_many_threads_one_gets_the_lock(self, coordination: Coordination, other: Coordination) -> None:
        barrier = threading.Barrier(8)

        def grab(n: int) -> bool:
            barrier.wait(PATIENCE)
            return (coordination if n % 2 else other).acquire("lock", str(n), 60) is not None

        threads = [Thread(lambda n=n: grab(n)) for n in range(8)]  # type: ignore[misc]  # n is bound per thread
        assert sum(thread.result() for thread in threads) == 1

    # --- counters and sets

    def test_counters_count(self, coordination: Coordination, other: Coordination) -> None:
        assert coordination.count("n", 1, 60) == 1
        assert other.count("n", 5, 60) == 6
        assert coordination.count("n", -2, 60) == 4
        assert coordination.count("m", 0, 60) == 0

    def test_counters_expire(self, coordination: Coordination) -> None:
        coordination.count("n", 5, SHORT)
        coordination.put("clock", b"", SHORT + 0.1)
        until(lambda: coordination.get("clock") is None)
        assert coordination.count("n", 1, 60) == 1

    def test_no_count_is_lost_between_threads(self, coordination: Coordination, other: Coordination) -> None:
        def work(n: int) -> None:
            for _ in range(25):
                (coordination if n % 2 else other).count("n", 1, 60)

        threads = [Thread(lambda n=n: work(n)) for n in range(4)]  # type: ignore[misc]  # n is bound per thread
        for thread in threads:
            thread.result()
        assert coordination.count("n", 0, 60) == 100

    def test_sets_know_their_members(self, coordination: Coordination, other: Coordination) -> None:
        assert coordination.add("s", "a", 60) == (True, 1)
        assert other.add("s", "b", 60) == (True, 2)
        assert coordination.add("s", "a", 60) == (False, 2)
        assert coordination.add("t", "a", 60) == (True, 1)

    def test_sets_expire(self, coordination: Coordination) -> None:
        coordination.add("s", "a", SHORT)
        coordination.put("clock", b"", SHORT + 0.1)
        until(lambda: coordination.get("clock") is None)
        assert coordination.add("s", "a", 60) == (True, 1)

    # --- token buckets

    def test_a_bucket_gives_its_burst_and_then_says_how_long(
        self, coordination: Coordination, other: Coordination
    ) -> None:
        assert [coordination.take("b", 0.001, 3) for _ in range(3)] == [0.0, 0.0, 0.0]
        wait = other.take("b", 0.001, 3)
        assert 0 < wait <= 1000
        assert other.take("b2", 0.001, 3) == 0.0

    def test_a_refused_take_takes_nothing(self, coordination: Coordination) -> None:
        assert coordination.take("b", 0.001, 3, tokens=2) == 0.0
        assert coordination.take("b", 0.001, 3, tokens=2) > 0
        assert coordination.take("b", 0.001, 3, tokens=1) == 0.0

    def test_a_bucket_refills(self, coordination: Coordination) -> None:
        assert coordination.take("b", 10, 1) == 0.0
        assert 0 < coordination.take("b", 10, 1) <= 0.1
        until(lambda: coordination.take("b", 10, 1) == 0.0)

    # --- values

    def test_values_are_kept_replaced_and_deleted(self, coordination: Coordination, other: Coordination) -> None:
        assert coordination.get("k") is None
        coordination.put("k", b"\x00one")
        assert other.get("k") == b"\x00one"
        other.put("k", b"two", 60)
        assert coordination.get("k") == b"two"
        assert other.delete("k")
        assert not coordination.delete("k")
        assert coordination.get("k") is None

    def test_values_expire(self, coordination: Coordination) -> None:
        coordination.put("k", b"x", SHORT)
        until(lambda: coordination.get("k") is None)
        assert not coordination.delete("k")
        assert list(coordination.scan("k")) == []

    def test_scan_lists_a_prefix_by_key(self, coordination: Coordination, other: Coordination) -> None:
        for key in ("p/b", "p/a", "q/c", "p%d", "p_e"):
            coordination.put(key, key.encode())
        assert list(other.scan("p/")) == [("p/a", b"p/a"), ("p/b", b"p/b")]
        assert [key for key, _ in other.scan("p_")] == ["p_e"]
        assert [key for key, _ in other.scan("p%")] == ["p%d"]
