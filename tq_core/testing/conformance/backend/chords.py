"""Chords: parts are counted, and exactly one caller sends the body."""

from __future__ import annotations

import threading

from tq_core.contracts.backend import Backend
from tq_core.states import FAILURE, SUCCESS
from tq_core.testing.conformance.backend.ground import BackendGround, failure
from tq_core.testing.conformance.patience import PATIENCE, Thread, until
from tq_core.testing.conformance.promises import promise


class ChordChecks(BackendGround):
    """Chords: parts are counted, and exactly one caller sends the body."""

    @promise(
        "chords.last", "the last part claims the chord, whose parts every connection sees by index", needs="chords"
    )
    def test_the_last_part_claims_the_chord(self, backend: Backend, other: Backend) -> None:
        (c,) = self.names("c")
        backend.open_chord(c, 3)
        assert backend.add_chord_parts([self.part("c", 2)], claimant="w", lease=30) == []
        assert other.add_chord_parts([self.part("c", 0)], claimant="w", lease=30) == []
        assert backend.add_chord_parts([self.part("c", 1)], claimant="w", lease=30) == [c]
        assert [(p.index, p.task_id, p.state, p.result) for p in other.chord_parts(c)] == [
            (n, f"{c}-{n}", SUCCESS, n) for n in range(3)
        ]

    @promise("chords.repeated", "a repeated part counts once", needs="chords")
    def test_a_repeated_part_counts_once(self, backend: Backend) -> None:
        (c,) = self.names("c")
        backend.open_chord(c, 2)
        for _ in range(3):
            assert backend.add_chord_parts([self.part("c", 0)], claimant="w", lease=30) == []
        assert backend.add_chord_parts([self.part("c", 1)], claimant="w", lease=30) == [c]

    @promise("chords.one-claim", "of many that finish at once, one claims the chord", needs="chords")
    def test_only_one_claims_a_complete_chord(self, backend: Backend, other: Backend) -> None:
        (c,) = self.names("c")
        size = 20
        backend.open_chord(c, size)
        barrier = threading.Barrier(size)

        def finish(n: int) -> list[str]:
            barrier.wait(PATIENCE)
            store = backend if n % 2 else other
            return store.add_chord_parts([self.part("c", n)], claimant=f"worker-{n}", lease=60)

        threads = [Thread(lambda n=n: finish(n)) for n in range(size)]  # type: ignore[misc]  # n is bound per thread
        assert [claim for thread in threads for claim in thread.result()] == [c]
        assert len(backend.chord_parts(c)) == size

    @promise(
        "chords.claim-kept", "a claim is given to nobody else while it lasts, and to its holder again", needs="chords"
    )
    def test_a_claim_is_not_given_to_another_while_it_lasts(self, backend: Backend, other: Backend) -> None:
        (c,) = self.names("c")
        backend.open_chord(c, 1)
        assert backend.add_chord_parts([self.part("c", 0)], claimant="one", lease=60) == [c]
        assert other.add_chord_parts([self.part("c", 0)], claimant="two", lease=60) == []
        assert other.add_chord_parts([self.part("c", 0)], claimant="one", lease=60) == [c]

    @promise("chords.claim-ends", "a claim that ran out goes to the next repeated part", needs="chords")
    def test_a_claim_that_ran_out_goes_to_the_next_repeated_part(self, backend: Backend, other: Backend) -> None:
        (c,) = self.names("c")
        backend.open_chord(c, 1)
        assert backend.add_chord_parts([self.part("c", 0)], claimant="dies", lease=0.2) == [c]
        until(
            lambda: other.add_chord_parts([self.part("c", 0)], claimant="heir", lease=60) == [c],
            "the claim did not run out",
        )

    @promise("chords.closed", "a closed chord is never claimed again", needs="chords")
    def test_a_closed_chord_is_never_claimed_again(self, backend: Backend, other: Backend) -> None:
        (c,) = self.names("c")
        backend.open_chord(c, 1)
        assert backend.add_chord_parts([self.part("c", 0)], claimant="w", lease=0.01) == [c]
        backend.close_chord(c)
        assert other.chord_parts(c) == []
        for _ in range(3):
            assert other.add_chord_parts([self.part("c", 0)], claimant="late", lease=0.01) == []

    @promise("chords.early-parts", "parts may come before the chord's size is known", needs="chords")
    def test_parts_may_come_before_the_size_is_known(self, backend: Backend) -> None:
        (c,) = self.names("c")
        assert backend.add_chord_parts([self.part("c", 0), self.part("c", 1)], claimant="w", lease=30) == []
        backend.open_chord(c, 2)
        assert backend.add_chord_parts([self.part("c", 1)], claimant="w", lease=30) == [c]

    @promise("chords.resize", "opening a chord again replaces its size", needs="chords")
    def test_opening_again_replaces_the_size(self, backend: Backend) -> None:
        (c,) = self.names("c")
        backend.open_chord(c, 1)
        backend.open_chord(c, 2)
        assert backend.add_chord_parts([self.part("c", 0)], claimant="w", lease=30) == []
        assert backend.add_chord_parts([self.part("c", 1)], claimant="w", lease=30) == [c]

    @promise("chords.enlarge", "an enlarged chord waits for the parts that were added", needs="chords")
    def test_an_enlarged_chord_waits_for_more(self, backend: Backend, other: Backend) -> None:
        (c,) = self.names("c")
        backend.open_chord(c, 1)
        other.enlarge_chord(c, 2)
        assert backend.add_chord_parts([self.part("c", 0), self.part("c", 1)], claimant="w", lease=30) == []
        assert backend.add_chord_parts([self.part("c", 2)], claimant="w", lease=30) == [c]

    @promise("chords.batch", "parts of several chords travel in one batch", needs="chords")
    def test_parts_of_several_chords_travel_in_one_batch(self, backend: Backend) -> None:
        a, b, c = self.names("a", "b", "c")
        for name in (a, b, c):
            backend.open_chord(name, 2)
        parts = [self.part(word, n) for word, n in (("a", 0), ("b", 0), ("b", 1), ("c", 0), ("c", 1))]
        assert sorted(backend.add_chord_parts(parts, claimant="w", lease=30)) == [b, c]

    @promise("chords.failure", "a failed part keeps its exception", needs="chords")
    def test_a_failed_part_keeps_its_exception(self, backend: Backend) -> None:
        (c,) = self.names("c")
        exception = failure("ValueError", "bad")
        backend.open_chord(c, 1)
        backend.add_chord_parts([self.part("c", 0, state=FAILURE, result=exception)], claimant="w", lease=30)
        (got,) = backend.chord_parts(c)
        assert (got.state, got.result) == (FAILURE, exception)
