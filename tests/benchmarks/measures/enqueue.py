"""How fast calls are taken by the broker."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.measure import Measure, Reading

CALLS, BULK, GROUPS = "delay() loop", "bulk", "groups of 100"


def run(bench: Bench) -> Iterator[Reading]:
    """Calls one by one, a hundred to a publication, and a hundred to a group."""
    with bench.session() as session:
        yield Reading(CALLS, "/s", session.rate("calls", bench.sizes.calls))
        yield Reading(BULK, "/s", session.rate("bulk", bench.sizes.bulk))
        yield Reading(GROUPS, "/s", session.rate("groups", bench.sizes.bulk))


def ceiling(bench: Bench) -> Iterator[Reading]:
    """The same messages, already encoded."""
    with bench.session() as session:
        yield Reading(CALLS, "/s", session.rate("calls", bench.sizes.calls))
        bulk = session.rate("bulk", bench.sizes.bulk)
        yield Reading(BULK, "/s", bulk)
        yield Reading(GROUPS, "/s", bulk)


MEASURE = Measure("enqueue", "calls taken by the broker: loop, bulk, groups", run, ceiling, pools=False)
