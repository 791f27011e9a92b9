"""What a long queue does to the rates: the same work beside an empty and beside a full one, in turns."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.drain import fill
from tests.benchmarks.measures.measure import Measure, Reading
from tests.benchmarks.session import Session

#: How often the two places take turns.
_TURNS = 3


def run(bench: Bench) -> Iterator[Reading]:
    """Compare two places, one with many messages waiting."""
    sizes = bench.sizes
    with bench.session() as short, bench.session() as long:
        fill(long, sizes.backlog)
        pairs = [(_drained(long, sizes.drain), _drained(short, sizes.drain)) for _ in range(_TURNS)]
        yield _loss("drain, 2 slots", pairs, sizes.backlog)
        for figure, how, count in (("delay() loop", "calls", sizes.calls), ("bulk", "bulk", sizes.bulk)):
            share = max(1, count // _TURNS)
            pairs = [(long.rate(how, share), short.rate(how, share)) for _ in range(_TURNS)]
            yield _loss(figure, pairs, sizes.backlog)


def _drained(session: Session, count: int) -> float:
    """Send and run ``count`` messages, and return the rate; what waited before waits no less afterwards."""
    fill(session, count)
    with session.worker(2):
        rate = session.drained(count)
    # Until it had ended, the worker went on with what else was waiting.
    session.ask("pass_over", 3 * count)
    return rate


def _loss(figure: str, pairs: Sequence[tuple[float, float]], waiting: int) -> Reading:
    ratio = statistics.median(long / short for long, short in pairs)
    return Reading(f"{figure}: loss with {waiting:,} waiting", "%", (1 - ratio) * 100)


MEASURE = Measure("backlog", "loss of rates with 200,000 messages waiting", run, alone=True)
