"""How soon a worker is there, and what it holds while it waits."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.measure import Measure, Reading


def run(bench: Bench) -> Iterator[Reading]:
    """Start a worker of two slots some times."""
    with bench.session() as session:
        # The first start may create tables and compile modules.
        with session.worker(2):
            session.ask("round_trips", 1)
        starts, firsts = bench.sizes.starts // 2, []
        for _ in range(starts):
            session.ask("send", "calls", 1)
            with session.worker(2) as node:
                # From its start to the result of a task that waits; for systems that do not say when they are ready.
                firsts.append(session.ask("since", node.started))
                memory = node.memory()
        yield Reading("first result of a new worker, 2 slots", "ms", statistics.median(firsts) * 1000)
        yield Reading("idle worker of 2 slots, PSS", "MB", memory)
        times = []
        for _ in range(starts):
            with session.worker(2, talkative=True) as node:
                times.append(node.wait_ready())
        yield Reading("worker ready, 2 slots", "ms", statistics.median(times) * 1000)


MEASURE = Measure("idle", "start of a worker; memory of an idle one, after its first task", run)
