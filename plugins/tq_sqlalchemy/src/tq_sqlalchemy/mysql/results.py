"""The hot verbs of the results: one INSERT for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from tq_core.states import READY_STATES
from tq_sqlalchemy.database import Session
from tq_sqlalchemy.dialect import ResultVerbs
from tq_sqlalchemy.mysql.batches import insertions
from tq_sqlalchemy.mysql.literals import listed, literal
from tq_sqlalchemy.mysql.wire import Wire


class MySQLResults(ResultVerbs):
    """The verbs on one result table."""

    # A batch may be several statements; but to have stored the first ones only does no harm.
    rows_at_once: ClassVar[int] = 1_000_000

    def __init__(self, results: sa.Table, columns: Sequence[str]) -> None:
        quote = mysql.dialect().identifier_preparer
        table = quote.format_table(results)
        names = [quote.quote(name) for name in columns]
        chosen = ", ".join(names)
        self._head = f"INSERT INTO {table} ({chosen}) VALUES ".encode()
        # A SUCCESS is final, whoever comes later. Assignments see what those before them did, so the status is last.
        others = [f"{name} = IF(status = 'SUCCESS', {name}, VALUES({name}))" for name in names[2:]]
        status = "status = IF(status = 'SUCCESS', status, VALUES(status))"
        self._tail = f" ON DUPLICATE KEY UPDATE {', '.join([*others, status])}".encode()
        self._fetch = f"SELECT {chosen} FROM {table} WHERE task_id IN (".encode()
        self._ready = f") AND status IN ({', '.join(repr(state) for state in sorted(READY_STATES))})".encode()
        self._forget = f"DELETE FROM {table} WHERE task_id IN (".encode()
        self._expire = f"DELETE FROM {table} WHERE date_done < ".encode()

    def store(self, session: Session, rows: Sequence[tuple[Any, ...]], rings: Sequence[bytes]) -> None:
        wire: Wire = session.raw
        encoded = [b"(" + b",".join([literal(value) for value in row]) + b")" for row in rows]
        for statement in insertions(self._head, encoded, self._tail):
            wire.ask(statement)

    def fetch(self, session: Session, ids: Sequence[str], *, ready: bool) -> list[tuple[Any, ...]]:
        wire: Wire = session.raw
        return wire.ask(self._fetch + listed(ids) + (self._ready if ready else b")")).fetchall()

    def forget(self, session: Session, ids: Sequence[str]) -> None:
        session.raw.ask(self._forget + listed(ids) + b")")

    def expire(self, session: Session, before: str, limit: int) -> int:
        wire: Wire = session.raw
        return wire.ask(self._expire + literal(before) + b" ORDER BY date_done LIMIT %d" % limit).rowcount
