"""The queues themselves: which there are, how full, paused or not."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from tq_core.contracts.broker import QueueDepth
from tq_core.message import Delivery, Message
from tq_sqlalchemy.database import LONG, ONCE, Database, Session
from tq_sqlalchemy.dialect import Dialect
from tq_sqlalchemy.envelope import message_of, raw_of
from tq_sqlalchemy.models import BEGUN, HELD, PARKED, READY, message, queue

_ALL = sa.select(queue.c.name)
_PAUSED = _ALL.where(queue.c.paused == 1)
_EXISTS = sa.select(queue.c.name).where(queue.c.name == sa.bindparam("called"))
_PAUSE = sa.update(queue).where(queue.c.name == sa.bindparam("called")).values(paused=sa.bindparam("flag"))


def _count(*states: int) -> sa.Select[Any]:
    # A literal condition per state, because only that lets the planner use the partial indexes.
    condition = sa.or_(*(message.c.state == sa.literal_column(str(state)) for state in states))
    if HELD in states:
        condition = sa.and_(message.c.owner.is_not(None), condition)
    return sa.select(sa.func.count()).where(message.c.queue == sa.bindparam("called"), condition)


def _in_state(state: int) -> sa.ColumnElement[bool]:
    return message.c.state == sa.literal_column(str(state))


_READY, _PARKED, _HELD = _count(READY), _count(PARKED), _count(HELD, BEGUN)
_OLDEST = sa.select(sa.func.min(message.c.enqueued_at)).where(
    message.c.id
    == sa.select(sa.func.min(message.c.id))
    .where(message.c.queue == sa.bindparam("called"), _in_state(READY))
    .scalar_subquery()
)
_PURGE = sa.delete(message).where(
    message.c.queue == sa.bindparam("called"), sa.or_(_in_state(READY), _in_state(PARKED))
)
_NEXT = sa.select(message.c.id).where(message.c.queue == sa.bindparam("called")).limit(sa.bindparam("most"))
#: The next to be moved: ready ones first.
_TO_MOVE = (
    _NEXT.where(_in_state(READY)).order_by(message.c.priority.desc(), message.c.id),
    _NEXT.where(_in_state(PARKED)).order_by(message.c.due),
)
#: What a consumer took since the look stays where it was.
_MOVE = (
    sa.update(message)
    .where(
        message.c.id == sa.bindparam("row"),
        message.c.queue == sa.bindparam("called"),
        sa.or_(_in_state(READY), _in_state(PARKED)),
    )
    .values(queue=sa.bindparam("target"))
)
_LOOK = sa.select(
    message.c.id,
    message.c.delivery_count,
    message.c.orphaned,
    message.c.task_id,
    message.c.due,
    message.c.content_type,
    message.c.content_encoding,
    message.c.properties,
    message.c.headers,
    message.c.body,
).where(message.c.queue == sa.bindparam("called"))
_LOOK_READY = (
    _LOOK.where(_in_state(READY)).order_by(message.c.priority.desc(), message.c.id).limit(sa.bindparam("most"))
)
_LOOK_PARKED = _LOOK.where(_in_state(PARKED)).order_by(message.c.due).limit(sa.bindparam("most"))


#: Messages moved in one transaction.
_MOVED_AT_ONCE = 500


class Queues:
    """The queues of one database. Any thread."""

    def __init__(self, database: Database, dialect: Dialect) -> None:
        self._database = database
        self._add = dialect.insert_new(queue, ("name", "paused"))
        self._known: frozenset[str] = frozenset()

    def knows(self, names: Collection[str]) -> bool:
        """True when every name is known to be registered."""
        return all(name in self._known for name in names)

    def learn(self, session: Session, names: Iterable[str]) -> None:
        """Register names not seen before. Needs a transaction."""
        fresh = [name for name in names if name not in self._known]
        for name in fresh:
            if session.run(_EXISTS, called=name).fetchone() is None:
                session.run(self._add, name=name, paused=0)
                # Only what is certain to be committed may be remembered; the next call finds it there.
            else:
                self._known |= {name}

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return sorted(row[0] for row in self._database.read(lambda session: session.run(_ALL).fetchall()))

    def depth(self, name: str) -> QueueDepth:
        """Count a queue's messages."""

        def work(session: Session) -> QueueDepth:
            ready, parked, held = (
                session.run(statement, called=name).fetchone()[0] for statement in (_READY, _PARKED, _HELD)
            )
            oldest = session.run(_OLDEST, called=name).fetchone()[0]
            age = None if oldest is None else max(0.0, time.time() - oldest)
            return QueueDepth(ready, parked, held, age)

        return self._database.read(work)

    def peek(self, name: str, limit: int) -> list[Delivery]:
        """Look at ready, then parked messages."""

        def work(session: Session) -> list[Any]:
            rows = session.run(_LOOK_READY, called=name, most=limit).fetchall()
            return rows + session.run(_LOOK_PARKED, called=name, most=limit - len(rows)).fetchall()

        return [_delivery_of(name, row) for row in self._database.read(work)]

    def purge(self, name: str) -> int:
        """Drop ready and parked messages; return how many."""
        return self._database.once(lambda session: session.run(_PURGE, called=name).rowcount, LONG)

    def move(self, source: str, target: str, limit: int | None) -> Iterator[int]:
        """Put waiting messages into another queue, and yield the number of each batch once it is there."""
        if source == target:
            return
        depth = self.depth(source)
        left = depth.ready + depth.parked
        if limit is not None:
            left = min(left, limit)
        for look in _TO_MOVE:
            while left > 0 and (rows := self._rows(look, source, min(left, _MOVED_AT_ONCE))):
                moved = self._readdress(rows, source, target)
                yield moved
                left -= moved

    def _rows(self, look: sa.Select[Any], name: str, most: int) -> list[int]:
        return [row[0] for row in self._database.read(lambda s: s.run(look, called=name, most=most).fetchall())]

    def _readdress(self, rows: Sequence[int], source: str, target: str) -> int:
        def work(session: Session) -> int:
            self.learn(session, [target])
            return session.run_many(_MOVE, [{"row": row, "called": source, "target": target} for row in rows])

        return self._database.write(work, ONCE)

    def set_paused(self, name: str, paused: bool) -> None:
        """Pause or resume a queue, known or not."""

        def work(session: Session) -> None:
            self.learn(session, [name])
            session.run(_PAUSE, called=name, flag=int(paused))

        self._database.write(work)

    def paused(self) -> list[str]:
        """Return the names of paused queues, sorted."""
        return sorted(row[0] for row in self._database.read(lambda session: session.run(_PAUSED).fetchall()))


def _delivery_of(name: str, row: Any) -> Delivery:
    _, count, orphaned, task_id, due, kind, encoding, properties, headers, body = row
    read: Message | None = None
    defect, raw = None, b""
    try:
        read = message_of(task_id, name, due, kind, encoding, properties, headers, body)
    except ValueError as error:
        defect, raw = str(error), raw_of(headers, body)
    return Delivery(None, name, read, defect, raw, count, count > 0 or bool(orphaned), bool(orphaned))
