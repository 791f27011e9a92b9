"""The hot verbs of the results: one statement for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from tq_sqlalchemy.database import Session
from tq_sqlalchemy.dialect import ResultVerbs
from tq_sqlalchemy.models import TASK_SEQUENCE
from tq_sqlalchemy.postgresql.doorbell import readable
from tq_sqlalchemy.postgresql.ringing import ringing, topic

_TELL = f"""
SELECT {ringing("number", "ALL", "payload")}
FROM (SELECT {topic("'watchers'", "''")} AS number, payload FROM unnest(%b::text[]) AS told (payload) OFFSET 0) AS topic
"""


class PostgresResults(ResultVerbs):
    """The verbs on one result table."""

    rows_at_once: ClassVar[int] = 10_000
    store_rings: ClassVar[bool] = True

    def __init__(self, results: sa.Table, columns: Sequence[str], *, numbered: bool) -> None:
        table = PGDialect().identifier_preparer.format_table(results)  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
        listed = ", ".join(columns)
        types = [_type_of(results.c[name]) for name in columns]
        number, numbers = ("", "") if numbered else ("id, ", f"nextval('{TASK_SEQUENCE}'), ")
        head = f"INSERT INTO {table} AS known ({number}{listed}) "
        # A SUCCESS is final, whoever comes later.
        tail = (
            f" ON CONFLICT (task_id) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in columns[1:])}"
            " WHERE known.status IS DISTINCT FROM 'SUCCESS'"
        )
        self._store_one = f"{head}VALUES ({numbers}{', '.join(f'%b::{type_}' for type_ in types)}){tail}"
        self._store_one_telling = f"WITH stored AS ({self._store_one}){_TELL}"
        self._store = (
            f"{head}SELECT {numbers}{', '.join(f'fresh.{c}' for c in columns)}"
            f" FROM unnest({', '.join(f'%b::{type_}[]' for type_ in types)}) AS fresh ({listed}){tail}"
        )
        self._store_telling = f"WITH stored AS ({self._store}){_TELL}"
        self._texts = [place for place, type_ in enumerate(types) if type_ == "text"]
        # Joined, because a plan made once may compare each row of the table with each element of an array.
        among = f"IN (SELECT unnest(%s::{types[0]}[]))"
        self._fetch = f"SELECT {listed} FROM {table} WHERE task_id {among}"
        self._ready = f"{self._fetch} AND status IN ('SUCCESS', 'FAILURE', 'REVOKED')"
        self._forget = f"DELETE FROM {table} WHERE task_id {among}"
        self._expire = (
            f"DELETE FROM {table} WHERE id = ANY (ARRAY("
            f"SELECT id FROM {table} WHERE date_done < %s ORDER BY date_done LIMIT %s FOR UPDATE SKIP LOCKED))"
        )

    def store(self, session: Session, rows: Sequence[tuple[Any, ...]], rings: Sequence[bytes]) -> None:
        rows = [self._writable(row) for row in rows]
        told = ([readable(payload) for payload in rings],) if rings else ()
        if len(rows) == 1:
            session.raw.execute(self._store_one_telling if told else self._store_one, (*rows[0], *told))
            return
        last: dict[str, tuple[Any, ...]] = {}
        for row in rows:
            # One statement may touch a row once.
            if row[0] not in last or last[row[0]][1] != "SUCCESS":
                last[row[0]] = row
        # Everybody locks in one order, so that nobody waits for one another.
        ordered = [last[task_id] for task_id in sorted(last)]
        columns = map(list, zip(*ordered, strict=True))
        session.raw.execute(self._store_telling if told else self._store, (*columns, *told))

    def _writable(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the row as it can be stored: no text holds a NUL, which PostgreSQL refuses."""
        if not any(row[place] and "\0" in row[place] for place in self._texts):
            return row
        return tuple(
            value.replace("\0", "\\x00") if place in self._texts and value else value for place, value in enumerate(row)
        )

    def fetch(self, session: Session, ids: Sequence[str], *, ready: bool) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = session.raw.execute(
            self._ready if ready else self._fetch, (list(ids),), binary=True
        ).fetchall()
        return rows

    def forget(self, session: Session, ids: Sequence[str]) -> None:
        session.raw.execute(self._forget, (list(ids),))

    def expire(self, session: Session, before: str, limit: int) -> int:
        return int(session.raw.execute(self._expire, (before, limit)).rowcount)


def _type_of(column: sa.Column[Any]) -> str:
    if isinstance(column.type, sa.LargeBinary):
        return "bytea"
    if isinstance(column.type, sa.Integer):
        return "int4"
    return "timestamp" if isinstance(column.type, sa.DateTime) else "text"
