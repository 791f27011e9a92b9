"""Chords in memory: who counts the parts, and who may send the body."""

from __future__ import annotations

from collections.abc import Sequence

from tq_core import clock
from tq_core.contracts.backend import ChordPart

#: A part with its serialized result.
_Counted = tuple[ChordPart, bytes]


class _Chord:
    """One chord: what it waits for, what came, and who sends its body."""

    __slots__ = ("claim_ends", "claimant", "closed", "deadline", "parts", "size")

    def __init__(self) -> None:
        self.size: int | None = None
        self.parts: dict[str, _Counted] = {}
        self.claimant: str | None = None
        self.claim_ends = 0.0
        self.closed = False
        self.deadline = float("inf")


class MemoryChords:
    """All chords of one namespace. The caller holds the namespace's lock; times are monotonic."""

    def __init__(self) -> None:
        self._chords: dict[str, _Chord] = {}

    def open(self, group_id: str, size: int, deadline: float) -> None:
        """Set the number of parts a chord waits for."""
        chord = self._chords.setdefault(group_id, _Chord())
        if not chord.closed:
            chord.size = size
            chord.deadline = deadline

    def enlarge(self, group_id: str, by: int) -> None:
        """Raise the number of parts a chord waits for."""
        chord = self._chords.get(group_id)
        if chord is not None and chord.size is not None:
            chord.size += by

    def add(self, batch: Sequence[_Counted], claimant: str, lease: float, deadline: float) -> list[str]:
        """Record parts; return the chords that are complete and whose claim is now ``claimant``'s."""
        touched: dict[str, _Chord] = {}
        for part, data in batch:
            chord = touched[part.group_id] = self._chords.setdefault(part.group_id, _Chord())
            if not chord.closed:
                chord.parts.setdefault(part.task_id, (part, data))
                chord.deadline = deadline
        now = clock.monotonic()
        claimed = []
        for group_id, chord in touched.items():
            complete = chord.size is not None and len(chord.parts) >= chord.size
            free = chord.claim_ends <= now or chord.claimant == claimant
            if complete and not chord.closed and free:
                chord.claimant, chord.claim_ends = claimant, now + lease
                claimed.append(group_id)
        return claimed

    def parts(self, group_id: str) -> list[_Counted]:
        """Return the parts recorded, by index."""
        chord = self._chords.get(group_id)
        return sorted(chord.parts.values(), key=lambda counted: counted[0].index) if chord else []

    def close(self, group_id: str, deadline: float) -> None:
        """Drop the parts, and remember until ``deadline`` that the body was sent."""
        chord = self._chords.setdefault(group_id, _Chord())
        chord.closed = True
        chord.parts.clear()
        chord.deadline = deadline

    def sweep(self) -> None:
        """Forget chords whose results have expired."""
        now = clock.monotonic()
        for group_id in [g for g, chord in self._chords.items() if chord.deadline <= now]:
            del self._chords[group_id]
