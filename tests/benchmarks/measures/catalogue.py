"""All measures, in the order in which they are taken."""

from __future__ import annotations

from tests.benchmarks.measures import (
    backlog,
    canvas,
    coroutines,
    drain,
    enqueue,
    eta,
    events,
    growth,
    idle,
    imports,
    latency,
)

MEASURES = {
    measure.name: measure
    for measure in (
        imports.MEASURE,
        enqueue.MEASURE,
        drain.MEASURE,
        latency.MEASURE,
        idle.MEASURE,
        canvas.CHORD,
        canvas.CHAIN,
        backlog.MEASURE,
        eta.MEASURE,
        coroutines.MEASURE,
        events.MEASURE,
        growth.MEASURE,
    )
}
