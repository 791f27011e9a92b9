"""How fast a worker runs what waits, and how much CPU each task costs it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.measure import Measure, Reading, slots_named
from tests.benchmarks.session import Session
from tests.benchmarks.systems.contract import Unsupported


def run(bench: Bench) -> Iterator[Reading]:
    """Fill the queue, start a worker, and take the time from the first result to the last."""
    for slots in (1, 2):
        with bench.session() as session:
            # Starting and ending costs a worker the same, whether it runs tasks meanwhile or not.
            with session.worker(slots) as unused:
                session.ask("round_trips", 1)
            fill(session, bench.sizes.drain)
            with session.worker(slots) as busy:
                yield Reading(f"drain, {slots_named(slots)}", "/s", session.drained())
        cost = (busy.cpu - unused.cpu) / bench.sizes.drain
        yield Reading(f"worker CPU per task, {slots_named(slots)}", "µs", cost * 1e6)


def fill(session: Session, count: int) -> None:
    """Send calls, in bulk where the system can."""
    try:
        session.ask("send", "bulk", count)
    except Unsupported:
        session.ask("send", "calls", count)


def ceiling(bench: Bench) -> Iterator[Reading]:
    """One process claims, stores results and acknowledges, a hundred at a time."""
    with bench.session() as session:
        session.ask("send", "bulk", bench.sizes.drain)
        answer = session.ask("ask", "settle", bench.sizes.drain)
    for slots in (1, 2):
        yield Reading(f"drain, {slots_named(slots)}", "/s", bench.sizes.drain / answer["seconds"])
        yield Reading(f"worker CPU per task, {slots_named(slots)}", "µs", answer["cpu"] / bench.sizes.drain * 1e6)


MEASURE = Measure("drain", "what waits is run by 1 and by 2 slots; CPU of a task", run, ceiling)
