"""Locks, counters, sets, token buckets and values in tables of a few columns each.

Every method is one write transaction: it reads, decides and writes while nobody else can come between who is at the
same key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from tq_core.contracts.coordination import Coordination
from tq_sqlalchemy.database import LONG, ONCE, USUAL, Database, Session
from tq_sqlalchemy.models import bucket, counter, lock, member, members, token, value

#: Writes between two sweeps of expired rows.
SWEEP_EVERY = 1000

_KEY: sa.BindParameter[str] = sa.bindparam("name")
_NOW: sa.BindParameter[float] = sa.bindparam("now")
_OWNER: sa.BindParameter[str] = sa.bindparam("holder")
_UNTIL: sa.BindParameter[float] = sa.bindparam("until")
_NUMBER: sa.BindParameter[float] = sa.bindparam("number")


def _at(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.key == _KEY


_LOCK = sa.select(lock.c.owner, lock.c.token, lock.c.expires).where(_at(lock))
_LOCK_ADD = sa.insert(lock).values(key=_KEY, owner=_OWNER, token=_NUMBER, expires=_UNTIL)
_LOCK_SET = sa.update(lock).where(_at(lock)).values(owner=_OWNER, token=_NUMBER, expires=_UNTIL)
_MINE = sa.and_(_at(lock), lock.c.owner == _OWNER, lock.c.expires > _NOW)
_LOCK_RENEW = sa.update(lock).where(_MINE).values(expires=_UNTIL)
_LOCK_RELEASE = sa.delete(lock).where(_MINE)
_TOKEN = sa.select(token.c.value)
_TOKEN_ADD = sa.insert(token).values(value=_NUMBER)
_TOKEN_RAISE = sa.update(token).values(value=token.c.value + 1)

_COUNTER = sa.select(counter.c.value, counter.c.expires).where(_at(counter))
_COUNTER_ADD = sa.insert(counter).values(key=_KEY, value=_NUMBER, expires=_UNTIL)
_COUNTER_SET = sa.update(counter).where(_at(counter)).values(value=_NUMBER, expires=_UNTIL)

_SET = sa.select(members.c.size, members.c.expires).where(_at(members))
_SET_ADD = sa.insert(members).values(key=_KEY, size=_NUMBER, expires=_UNTIL)
_SET_SET = sa.update(members).where(_at(members)).values(size=_NUMBER, expires=_UNTIL)
_SET_EMPTY = sa.delete(member).where(_at(member))
_MEMBER = sa.select(member.c.member).where(_at(member), member.c.member == _OWNER)
_MEMBER_ADD = sa.insert(member).values(key=_KEY, member=_OWNER)

_BUCKET = sa.select(bucket.c.tokens, bucket.c.filled_at, bucket.c.expires).where(_at(bucket))
_BUCKET_ADD = sa.insert(bucket).values(key=_KEY, tokens=_NUMBER, filled_at=_NOW, expires=_UNTIL)
_BUCKET_SET = sa.update(bucket).where(_at(bucket)).values(tokens=_NUMBER, filled_at=_NOW, expires=_UNTIL)

_LIVE = sa.or_(value.c.expires.is_(None), value.c.expires > _NOW)
_VALUE = sa.select(value.c.value).where(_at(value), _LIVE)
_VALUE_ADD = sa.insert(value).values(key=_KEY, value=sa.bindparam("payload"), expires=_UNTIL)
_VALUE_SET = sa.update(value).where(_at(value)).values(value=sa.bindparam("payload"), expires=_UNTIL)
_VALUE_DROP = sa.delete(value).where(_at(value))
_VALUES = (
    sa.select(value.c.key, value.c.value)
    .where(value.c.key >= _KEY, value.c.key < sa.bindparam("end"), _LIVE)
    .order_by(value.c.key)
)

_SWEEP = (
    sa.delete(member).where(member.c.key.in_(sa.select(members.c.key).where(members.c.expires <= _NOW))),
    *(sa.delete(table).where(table.c.expires <= _NOW) for table in (lock, counter, members, bucket, value)),
)


class DatabaseCoordination(Coordination):
    """Coordination in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writes = 0

    def acquire(self, key: str, owner: str, ttl: float) -> int | None:
        def work(session: Session) -> int | None:
            now = session.now()
            row = session.run(_LOCK, name=key).fetchone()
            if row is not None and row[2] > now and row[0] != owner:
                return None
            number = row[1] if row is not None and row[2] > now else _next_token(session)
            statement = _LOCK_ADD if row is None else _LOCK_SET
            session.run(statement, name=key, holder=owner, number=number, until=now + ttl)
            self._sweep_sometimes(session, now)
            return int(number)

        return self._database.write(work, USUAL, guards=[f"lock/{key}"])

    def renew(self, key: str, owner: str, ttl: float) -> bool:
        def work(session: Session) -> bool:
            now = session.now()
            return session.run(_LOCK_RENEW, name=key, holder=owner, now=now, until=now + ttl).rowcount == 1

        return self._database.once(work)

    def release(self, key: str, owner: str) -> bool:
        return self._database.once(
            lambda session: session.run(_LOCK_RELEASE, name=key, holder=owner, now=session.now()).rowcount == 1
        )

    def count(self, key: str, by: int, ttl: float) -> int:
        def work(session: Session) -> int:
            now = session.now()
            row = session.run(_COUNTER, name=key).fetchone()
            total: int = by + (row[0] if row is not None and row[1] > now else 0)
            session.run(_COUNTER_ADD if row is None else _COUNTER_SET, name=key, number=total, until=now + ttl)
            self._sweep_sometimes(session, now)
            return total

        return self._database.write(work, ONCE, guards=[f"counter/{key}"])

    def add(self, key: str, member: str, ttl: float) -> tuple[bool, int]:
        def work(session: Session) -> tuple[bool, int]:
            now = session.now()
            row = session.run(_SET, name=key).fetchone()
            size = row[0] if row is not None and row[1] > now else 0
            if row is not None and size == 0:
                session.run(_SET_EMPTY, name=key)
            new = size == 0 or session.run(_MEMBER, name=key, holder=member).fetchone() is None
            if new:
                session.run(_MEMBER_ADD, name=key, holder=member)
                size += 1
            session.run(_SET_ADD if row is None else _SET_SET, name=key, number=size, until=now + ttl)
            self._sweep_sometimes(session, now)
            return new, size

        return self._database.write(work, ONCE, guards=[f"set/{key}"])

    def take(self, key: str, rate: float, burst: float, tokens: float = 1.0) -> float:
        def work(session: Session) -> float:
            now = session.now()
            row = session.run(_BUCKET, name=key).fetchone()
            there = burst
            if row is not None and row[2] > now:
                there = min(burst, row[0] + max(0.0, now - row[1]) * rate)
            # What was computed by multiplying and adding may miss by a hair.
            if there + 1e-9 < tokens:
                return math.inf if rate <= 0 or tokens > burst else (tokens - there) / rate
            # Once full again, a forgotten bucket is as good as a kept one.
            until = now + (burst / rate if rate > 0 else 86_400.0) + 1.0
            statement = _BUCKET_ADD if row is None else _BUCKET_SET
            session.run(statement, name=key, number=max(0.0, there - tokens), now=now, until=until)
            self._sweep_sometimes(session, now)
            return 0.0

        return self._database.write(work, ONCE, guards=[f"bucket/{key}"])

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        def work(session: Session) -> None:
            now = session.now()
            until = None if ttl is None else now + ttl
            if not session.run(_VALUE_SET, name=key, payload=value, until=until).rowcount:
                session.run(_VALUE_ADD, name=key, payload=value, until=until)
            self._sweep_sometimes(session, now)

        self._database.write(work, USUAL, guards=[f"value/{key}"])

    def get(self, key: str) -> bytes | None:
        row = self._database.read(lambda session: session.run(_VALUE, name=key, now=session.now()).fetchone())
        return bytes(row[0]) if row else None

    def delete(self, key: str) -> bool:
        def work(session: Session) -> bool:
            live = session.run(_VALUE, name=key, now=session.now()).fetchone() is not None
            session.run(_VALUE_DROP, name=key)
            return live

        return self._database.write(work, ONCE, guards=[f"value/{key}"])

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        rows: list[Any] = self._database.read(
            lambda session: session.run(_VALUES, name=prefix, end=prefix + "\U0010ffff", now=session.now()).fetchall()
        )
        for key, payload in rows:
            yield key, bytes(payload)

    def sweep(self) -> None:
        """Delete everything that has expired."""
        self._database.write(lambda session: _sweep(session, session.now()), LONG)

    def _sweep_sometimes(self, session: Session, now: float) -> None:
        self._writes += 1
        if self._writes % SWEEP_EVERY == 0:
            _sweep(session, now)


def _sweep(session: Session, now: float) -> None:
    for statement in _SWEEP:
        session.run(statement, now=now)


def _next_token(session: Session) -> int:
    # Raised first: until this transaction ends the row is locked, and nobody reads the same number.
    if not session.run(_TOKEN_RAISE).rowcount:
        session.run(_TOKEN_ADD, number=1)
    return int(session.run(_TOKEN).fetchone()[0])
