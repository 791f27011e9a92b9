"""The hot verbs of the results: one INSERT for a batch, ids as one JSON array."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from tq_sqlalchemy.database import Session
from tq_sqlalchemy.dialect import ResultVerbs
from tq_sqlalchemy.sqlite.messages import pieces

LARGEST_STORE = 64


class SQLiteResults(ResultVerbs):
    """The verbs on one result table."""

    rows_at_once: ClassVar[int] = 1

    def __init__(self, results: sa.Table, columns: Sequence[str]) -> None:
        table = sqlite.dialect().identifier_preparer.format_table(results)
        listed = ", ".join(columns)
        self._head = f"INSERT INTO {table} ({listed}) VALUES "
        self._row = f"({', '.join('?' * len(columns))})"
        # A SUCCESS is final, whoever comes later.
        self._tail = (
            f" ON CONFLICT (task_id) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in columns[1:])}"
            f" WHERE {table}.status IS NOT 'SUCCESS'"
        )
        among = f"FROM {table} WHERE task_id IN (SELECT value FROM json_each(?))"
        self._fetch = f"SELECT {listed} {among}"
        self._ready = f"{self._fetch} AND status IN ('SUCCESS', 'FAILURE', 'REVOKED')"
        self._forget = f"DELETE {among}"
        self._expire = (
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE date_done < ? ORDER BY date_done LIMIT ?)"
        )
        self._insert = lru_cache(maxsize=16)(self._make_insert)

    def _make_insert(self, rows: int) -> str:
        return self._head + ", ".join([self._row] * rows) + self._tail

    def store(self, session: Session, rows: Sequence[tuple[Any, ...]], rings: Sequence[bytes]) -> None:
        raw: sqlite3.Connection = session.raw
        if len(rows) == 1:
            raw.execute(self._insert(1), rows[0])
            return
        start = 0
        for size in pieces(len(rows), LARGEST_STORE):
            values: list[Any] = []
            for row in rows[start : start + size]:
                values += row
            raw.execute(self._insert(size), values)
            start += size

    def fetch(self, session: Session, ids: Sequence[str], *, ready: bool) -> list[tuple[Any, ...]]:
        raw: sqlite3.Connection = session.raw
        return raw.execute(self._ready if ready else self._fetch, (json.dumps(list(ids)),)).fetchall()

    def forget(self, session: Session, ids: Sequence[str]) -> None:
        session.raw.execute(self._forget, (json.dumps(list(ids)),))

    def expire(self, session: Session, before: str, limit: int) -> int:
        raw: sqlite3.Connection = session.raw
        return raw.execute(self._expire, (before, limit)).rowcount
