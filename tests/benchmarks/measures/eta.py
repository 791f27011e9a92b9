"""What a million tasks that are due later cost a worker, and how punctual the others are."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.measure import Measure, Reading

_LATER, _SOON = 6 * 3600.0, 2.0


def run(bench: Bench) -> Iterator[Reading]:
    """Look at a worker without and with pending tasks."""
    count = bench.sizes.pending
    with bench.session() as session:
        with session.worker(2) as node:
            session.ask("round_trips", 20)
            before = node.memory()
        seconds = session.ask("take", "postpone", count, _LATER)
        yield Reading("calls with an ETA, bulk", "/s", count / seconds)
        with session.worker(2) as node:
            session.ask("round_trips", 20)
            late = session.ask("ask", "lateness", bench.sizes.due, _SOON)
            yield Reading(f"worker memory for {count:,} pending", "MB", node.memory() - before)
    yield Reading(
        f"lateness of a task due in 2 s, {count:,} pending, worst of {bench.sizes.due}", "ms", max(late) * 1000
    )


MEASURE = Measure("eta", "1,000,000 pending ETA tasks: memory, lateness", run, alone=True)
