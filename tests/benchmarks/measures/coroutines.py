"""How many coroutines one runner of the asyncio pool runs at a time."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.measure import Measure, Reading
from tests.benchmarks.systems.contract import Unsupported


def run(bench: Bench) -> Iterator[Reading]:
    """Run tasks that sleep for a second, all at a time."""
    if bench.pool != "aio":
        raise Unsupported("is measured with --pool aio")
    count = bench.sizes.naps
    with bench.session() as session, session.worker(count):
        session.ask("round_trips", 20)
        yield Reading(f"{count:,} tasks of asyncio.sleep(1)", "s", session.ask("take", "naps", count, 1.0))


MEASURE = Measure("coroutines", "500 sleeping coroutines in one runner of the pool aio", run)
