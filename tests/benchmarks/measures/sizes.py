"""How much is asked of what is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Sizes:
    """How much is asked for."""

    calls: int = 5_000
    bulk: int = 10_000
    drain: int = 10_000
    trips: int = 300
    starts: int = 7
    chords: tuple[int, ...] = (1_000, 10_000)
    chain: int = 200
    backlog: int = 200_000
    pending: int = 1_000_000
    due: int = 20
    naps: int = 500
    grown: tuple[int, int] = (10_000, 100_000)

    def divided(self, by: int) -> Sizes:
        """Return what a peer gets that is slower: rates stay comparable, and what names a number keeps it."""
        return replace(
            self,
            calls=max(100, self.calls // by),
            bulk=max(200, self.bulk // by),
            drain=max(200, self.drain // by),
            trips=max(min(20, self.trips), self.trips // by),
            chords=self.chords[:1],
        )


#: With these everything runs once in seconds; the figures mean little.
QUICK = Sizes(
    calls=200,
    bulk=300,
    drain=300,
    trips=20,
    starts=2,
    chords=(20,),
    chain=5,
    backlog=1_000,
    pending=1_000,
    due=2,
    naps=20,
    grown=(100, 300),
)
