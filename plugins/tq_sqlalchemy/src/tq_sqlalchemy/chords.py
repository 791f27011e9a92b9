"""Chords: parts are counted and claimed in one transaction, so one caller of all sends the body."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from tq_core.contracts.backend import ChordPart
from tq_core.contracts.serializer import Serializer
from tq_sqlalchemy.database import LONG, ONCE, Database, Session
from tq_sqlalchemy.dialect import Dialect
from tq_sqlalchemy.models import chord, chord_part

_GROUP: sa.BindParameter[str] = sa.bindparam("chord")
_NOW: sa.BindParameter[float] = sa.bindparam("now")

_CHORD = sa.select(chord.c.size, chord.c.parts, chord.c.closed, chord.c.claimant, chord.c.claimed_until).where(
    chord.c.group_id == _GROUP
)
_ADD = sa.insert(chord).values(
    group_id=_GROUP, size=sa.bindparam("expected"), parts=0, closed=sa.bindparam("over"), touched=_NOW
)
_RESIZE = sa.update(chord).where(chord.c.group_id == _GROUP).values(size=sa.bindparam("expected"), touched=_NOW)
_ENLARGE = (
    sa.update(chord).where(chord.c.group_id == _GROUP).values(size=chord.c.size + sa.bindparam("by"), touched=_NOW)
)
_GROW = (
    sa.update(chord).where(chord.c.group_id == _GROUP).values(parts=chord.c.parts + sa.bindparam("more"), touched=_NOW)
)
_CLAIM = (
    sa.update(chord)
    .where(chord.c.group_id == _GROUP)
    .values(claimant=sa.bindparam("who"), claimed_until=sa.bindparam("until"))
)
_CLOSE = sa.update(chord).where(chord.c.group_id == _GROUP).values(closed=1, touched=_NOW)
_PARTS = (
    sa.select(chord_part.c.position, chord_part.c.task_id, chord_part.c.state, chord_part.c.result)
    .where(chord_part.c.group_id == _GROUP)
    .order_by(chord_part.c.position, chord_part.c.task_id)
)
_DROP_PARTS = sa.delete(chord_part).where(chord_part.c.group_id == _GROUP)
_OLD = sa.select(chord.c.group_id).where(chord.c.touched < sa.bindparam("before"))
_EXPIRE = (
    sa.delete(chord_part).where(chord_part.c.group_id.in_(_OLD)),
    sa.delete(chord).where(chord.c.touched < sa.bindparam("before")),
)


class Chords:
    """The chords of one database. Any thread.

    Args:
        database: where they are.
        dialect: of that database.
        serializer: writes and reads the parts' results.
    """

    def __init__(self, database: Database, dialect: Dialect, serializer: Serializer) -> None:
        self._database = database
        self._serializer = serializer
        # A part that comes a second time adds nothing.
        self._part = dialect.insert_new(chord_part, ("group_id", "task_id", "position", "state", "result"))

    def open(self, group_id: str, size: int) -> None:
        """Say how many parts there will be, or correct it."""

        def work(session: Session) -> None:
            now = session.now()
            if not session.run(_RESIZE, chord=group_id, expected=size, now=now).rowcount:
                session.run(_ADD, chord=group_id, expected=size, over=0, now=now)

        self._database.write(work, guards=_guards([group_id]))

    def enlarge(self, group_id: str, by: int) -> None:
        """Wait for so many parts more."""
        self._database.once(lambda session: session.run(_ENLARGE, chord=group_id, by=by, now=session.now()), ONCE)

    def add(self, parts: Sequence[ChordPart], claimant: str, lease: float) -> list[str]:
        """Record parts; return the chords that are complete and now claimed."""
        encoded: dict[str, list[tuple[ChordPart, bytes]]] = {}
        for part in parts:
            encoded.setdefault(part.group_id, []).append((part, self._serializer.dumps(part.result)))

        def work(session: Session) -> list[str]:
            now = session.now()
            return [
                group_id
                for group_id, members in encoded.items()
                if self._record(session, group_id, members, claimant, now)
                and session.run(_CLAIM, chord=group_id, who=claimant, until=now + lease).rowcount
            ]

        return self._database.write(work, guards=_guards(encoded))

    def parts(self, group_id: str) -> list[ChordPart]:
        """Return the parts recorded, by index."""
        rows = self._database.read(lambda session: session.run(_PARTS, chord=group_id).fetchall())
        return [
            ChordPart(group_id, position, task_id, state, self._serializer.loads(bytes(result)))
            for position, task_id, state, result in rows
        ]

    def close(self, group_id: str) -> None:
        """Drop the parts and remember that the chord is over."""

        def work(session: Session) -> None:
            now = session.now()
            session.run(_DROP_PARTS, chord=group_id)
            if not session.run(_CLOSE, chord=group_id, now=now).rowcount:
                session.run(_ADD, chord=group_id, expected=None, over=1, now=now)

        self._database.write(work, guards=_guards([group_id]))

    def expire(self, age: float) -> None:
        """Forget chords nothing has happened to for ``age`` seconds."""

        def work(session: Session) -> None:
            for statement in _EXPIRE:
                session.run(statement, before=session.now() - age)

        self._database.write(work, LONG)

    def _record(
        self, session: Session, group_id: str, members: list[tuple[ChordPart, bytes]], claimant: str, now: float
    ) -> bool:
        """Record one chord's parts; True when it is complete and nobody else has the claim."""
        row = session.run(_CHORD, chord=group_id).fetchone()
        if row is None:
            session.run(_ADD, chord=group_id, expected=None, over=0, now=now)
            row = (None, 0, 0, None, None)
        size, count, closed, holder, claimed_until = row
        if closed:
            return False
        new = session.run_many(self._part, [_part_row(part, result) for part, result in members])
        if new:
            session.run(_GROW, chord=group_id, more=new, now=now)
        complete = size is not None and count + new >= size
        return complete and (claimed_until is None or claimed_until <= now or holder == claimant)


def _part_row(part: ChordPart, result: bytes) -> dict[str, Any]:
    return {
        "group_id": part.group_id,
        "task_id": part.task_id,
        "position": part.index,
        "state": part.state,
        "result": result,
    }


def _guards(group_ids: Iterable[str]) -> list[str]:
    return [f"chord/{group_id}" for group_id in group_ids]
