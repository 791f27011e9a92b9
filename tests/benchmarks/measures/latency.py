"""How long a call takes with its result when a worker has nothing else to do."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.measure import Measure, Reading, slots_named


def run(bench: Bench) -> Iterator[Reading]:
    """Call and wait, again and again."""
    for slots in (1, 2):
        with bench.session() as session, session.worker(slots):
            session.ask("round_trips", 3)
            yield from _readings(session.ask("round_trips", bench.sizes.trips), slots)


def ceiling(bench: Bench) -> Iterator[Reading]:
    """Publish, claim, store, acknowledge and fetch one after the other, in one process."""
    with bench.session() as session:
        times = session.ask("round_trips", bench.sizes.trips)
    for slots in (1, 2):
        yield from _readings(times, slots)


def _readings(times: list[float], slots: int) -> Iterator[Reading]:
    cuts = statistics.quantiles(times, n=100)
    yield Reading(f"round trip p50, {slots_named(slots)}", "ms", cuts[49] * 1000)
    yield Reading(f"round trip p99, {slots_named(slots)}", "ms", cuts[98] * 1000)


MEASURE = Measure("latency", "an idle worker's round trip, median and 99th percentile", run, ceiling)
