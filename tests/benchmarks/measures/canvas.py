"""How long work-flows of no-ops take from the call to the last result."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.measure import Measure, Reading


def chords(bench: Bench) -> Iterator[Reading]:
    """A chord: many tasks, and one on all their results."""
    with bench.session() as session, session.worker(2):
        session.ask("round_trips", 1)
        for count in bench.sizes.chords:
            yield Reading(f"chord of {count:,}", "s", session.ask("take", "chord", count))


def chains(bench: Bench) -> Iterator[Reading]:
    """A chain: each task on the result of the one before."""
    with bench.session() as session, session.worker(2):
        session.ask("round_trips", 1)
        yield Reading(f"chain of {bench.sizes.chain:,}", "s", session.ask("take", "chain", bench.sizes.chain))


CHORD = Measure("chord", "chords of 1,000 and of 10,000", chords)
CHAIN = Measure("chain", "a chain of 200", chains)
