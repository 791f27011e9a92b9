"""What task events cost: the same drain with and without them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.drain import fill
from tests.benchmarks.measures.measure import Measure, Reading
from tests.benchmarks.systems.contract import Unsupported


def run(bench: Bench) -> Iterator[Reading]:
    """Drain in turns, without and with ``-E``."""
    rates = []
    for options in ((), ("-E",)):
        with bench.session() as session:
            fill(session, bench.sizes.drain)
            with session.worker(2, *options) as node:
                rates.append(session.drained())
            if "no effect" in node.text:
                raise Unsupported("sends no task events yet")
    yield Reading("drain with task events, 2 slots: loss", "%", (1 - rates[1] / rates[0]) * 100)


MEASURE = Measure("events", "loss of throughput with `-E`", run, alone=True)
