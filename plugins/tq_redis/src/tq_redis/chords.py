"""Chords on Celery's keys: parts are counted and claimed by one script, so one caller of all sends the body.

``.d`` and ``.c`` are Celery 5.7's, ``.j``, ``.t`` and ``.s`` those of every version. All five are written for every
``interop`` level: an older worker does not look at the first two, and counts the same parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tq_core.contracts.backend import ChordPart
from tq_redis.link import Link
from tq_redis.results import ResultCodec
from tq_redis.results_keys import ResultKeys
from tq_redis.script import script

OPEN = script("chord_open")
ENLARGE = script("chord_enlarge")
ADD = script("chord_add")
CLOSE = script("chord_close")

#: Milliseconds that a closed chord is remembered at least, and where results live for ever.
REMEMBERED, REMEMBERED_FOR_EVER = 300_000, 86_400_000


class Chords:
    """The chords of one deployment. Any thread.

    Args:
        link: to the server.
        keys: their names.
        codec: writes and reads parts.
        lifetime: milliseconds that an unfinished chord is kept after its last part; 0 is for ever.
        ordered: True where parts are kept by position (``result_chord_ordered``); all peers must agree on it.
    """

    def __init__(self, link: Link, keys: ResultKeys, codec: ResultCodec, lifetime: int, *, ordered: bool) -> None:
        self._link = link
        self._keys = keys
        self._codec = codec
        self._lifetime = lifetime
        self._ordered = ordered

    def open(self, group_id: str, size: int) -> None:
        """Say how many parts there will be, or correct it."""
        keys = self._keys.chord(group_id)
        self._link.run(OPEN, [keys.size, keys.claim], [size, self._lifetime])

    def enlarge(self, group_id: str, by: int) -> None:
        """Wait for so many parts more."""
        keys = self._keys.chord(group_id)
        # Counted twice, a chord would wait for ever; it is better to fail.
        self._link.run(ENLARGE, [keys.beyond, keys.claim], [by, self._lifetime], again=False)

    def add(self, parts: Sequence[ChordPart], claimant: str, lease: float) -> list[str]:
        """Record parts; return the chords that are complete and now claimed."""
        head = (claimant, max(1, math.ceil(lease * 1000)), self._lifetime, int(self._ordered))
        arguments: dict[str, list[object]] = {}
        for part in parts:
            given = arguments.setdefault(part.group_id, [*head])
            given += (part.task_id, part.index, self._codec.dumps_part(part))
        runs = [(self._keys.chord(group_id), given) for group_id, given in arguments.items()]
        claimed = self._link.runs(ADD, runs)
        return [group_id for group_id, mine in zip(arguments, claimed, strict=True) if mine]

    def parts(self, group_id: str) -> list[ChordPart]:
        """Return the parts recorded, by index."""
        key = self._keys.chord(group_id).parts
        if not self._ordered:
            listed = self._link.call("LRANGE", key, 0, -1)
            return [self._codec.loads_part(data, group_id, place) for place, data in enumerate(listed)]
        scored = self._link.call("ZRANGE", key, 0, -1, "WITHSCORES")
        pairs = zip(scored[::2], map(float, scored[1::2]), strict=True)
        # Celery gives a part that has no position the score +inf.
        return [
            self._codec.loads_part(data, group_id, int(score) if math.isfinite(score) else place)
            for place, (data, score) in enumerate(pairs)
        ]

    def close(self, group_id: str) -> None:
        """Drop the parts and remember that the chord is over."""
        remembered = max(REMEMBERED, self._lifetime) if self._lifetime else REMEMBERED_FOR_EVER
        self._link.run(CLOSE, self._keys.chord(group_id), [remembered])
