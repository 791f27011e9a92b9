"""The hot verbs of the results: one INSERT for a batch, ids as one JSON array."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from tq_sqlalchemy.sqlite.messages import pieces

LARGEST_STORE = 64


class ResultStatements:
    """Statements for one result table.

    Args:
        table: its name, quoted.
        columns: the columns to write and read, ``task_id`` and ``status`` first.
    """

    def __init__(self, table: str, columns: Sequence[str]) -> None:
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

    def store(self, raw: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows; of two with one id the later wins, except over a success."""
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

    def fetch(self, raw: sqlite3.Connection, ids: Iterable[str], *, ready: bool) -> list[tuple[Any, ...]]:
        """Return the rows of ``ids`` there are, or only those in a ready state."""
        return raw.execute(self._ready if ready else self._fetch, (json.dumps(list(ids)),)).fetchall()

    def forget(self, raw: sqlite3.Connection, ids: Iterable[str]) -> None:
        """Delete the rows of ``ids``."""
        raw.execute(self._forget, (json.dumps(list(ids)),))

    def expire(self, raw: sqlite3.Connection, before: str, limit: int) -> int:
        """Delete up to ``limit`` rows older than ``before``; return how many."""
        return raw.execute(self._expire, (before, limit)).rowcount
