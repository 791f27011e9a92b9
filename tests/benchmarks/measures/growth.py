"""Whether a worker grows with the number of tasks it has run."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.drain import fill
from tests.benchmarks.measures.measure import Measure, Reading


def run(bench: Bench) -> Iterator[Reading]:
    """Look at the memory of one worker twice."""
    few, many = bench.sizes.grown
    sizes = []
    with bench.session() as session, session.worker(2) as node:
        for count in (few, many - few):
            fill(session, count)
            session.ask("drain")
            sizes.append(node.memory())
    yield Reading(f"memory after {few:,} tasks, 2 slots, PSS", "MB", sizes[0])
    yield Reading(f"memory growth from {few:,} to {many:,} tasks", "%", (sizes[1] / sizes[0] - 1) * 100)


MEASURE = Measure("growth", "worker memory after 100,000 tasks against 10,000", run, alone=True)
