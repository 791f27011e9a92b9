"""What a measure is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.benchmarks.measures.bench import Bench


@dataclass(frozen=True)
class Reading:
    """One figure, measured once.

    Attributes:
        figure: what was measured; the same words for every system, and in ``targets.yaml``.
        unit: ``/s``, where more is better, or ``ms``, ``s``, ``µs``, ``MB``, ``%``, where less is.
        value: in that unit.
    """

    figure: str
    unit: str
    value: float


@dataclass(frozen=True)
class Measure:
    """A measure.

    Attributes:
        name: the word for it on the command line.
        summary: what it measures.
        run: measures a system; what was read before an error counts.
        ceiling: does the same work with the bare client; None when there is no such thing.
        pools: it depends on the pool.
        alone: peers are not measured.
    """

    name: str
    summary: str
    run: Callable[[Bench], Iterator[Reading]]
    ceiling: Callable[[Bench], Iterator[Reading]] | None = None
    pools: bool = True
    alone: bool = False


def slots_named(count: int) -> str:
    """Return ``1 slot`` or ``2 slots``."""
    return f"{count} slot" if count == 1 else f"{count} slots"
