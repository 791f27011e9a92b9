"""One connection to a database server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from tq_sqlalchemy.database import Cursor, Session
from tq_sqlalchemy.server.driver import Server


class ServerSession(Session):
    """One connection, opened when needed.

    Attributes:
        publisher: names this session's publications.
        number: of the present operation; the same in all its attempts.
    """

    def __init__(self, server: Server, statements: dict[Any, Any]) -> None:
        self._server = server
        self._statements = statements
        self._raw: Any = None
        self._now: float | None = None
        self.publisher = uuid4().hex
        self.number = 0
        self.epoch = 0

    @property
    def raw(self) -> Any:
        return self._raw

    def open(self, deadline: float) -> None:
        """Have a connection that looks sound, and whose calls end at ``deadline``."""
        self._now = None
        if self._raw is not None and self._server.is_stale(self._raw):
            self.close()
        if self._raw is None:
            self._raw = self._server.open(deadline)
        self._server.bound(self._raw, deadline)

    def is_idle(self) -> bool:
        """True when the session can be used for something else as it is."""
        return self._raw is None or self._server.is_idle(self._raw)

    def close(self) -> None:
        """Close the connection."""
        raw, self._raw = self._raw, None
        if raw is not None:
            self._server.close(raw)

    def abandon(self) -> Any:
        """Let go of a connection that belongs to the parent process, and return what must not be collected."""
        raw, self._raw = self._raw, None
        if raw is not None:
            with suppress(OSError, *self._server.errors):
                os.close(self._server.socket(raw))
        return raw

    def compiled(self, statement: sa.Executable) -> tuple[str, Sequence[str] | None, dict[str, Any]]:
        """Return a statement's text, the order of its parameters unless they go by name, and their defaults."""
        found: tuple[str, Sequence[str] | None, dict[str, Any]] | None = self._statements.get(statement)
        if found is None:
            compiled = statement.compile(dialect=self._server.engine.dialect)  # type: ignore[attr-defined]  # every Executable has it
            order = tuple(compiled.positiontup) if compiled.positional else None
            found = self._statements[statement] = (str(compiled), order, dict(compiled.params))
        return found

    def run(self, statement: sa.Executable, **parameters: Any) -> Cursor:
        sql, order, values = self.compiled(statement)
        values = values | parameters
        return self._server.execute(self._raw, sql, values if order is None else [values[name] for name in order])

    def run_many(self, statement: sa.Executable, rows: Sequence[Mapping[str, Any]]) -> int:
        if not rows:
            return 0
        sql, order, values = self.compiled(statement)
        full = [{**values, **row} for row in rows]
        if order is None:
            return self._server.execute_many(self._raw, sql, full)
        return self._server.execute_many(self._raw, sql, [[row[name] for name in order] for row in full])

    def insert(self, statement: sa.Insert, **parameters: Any) -> int:
        return self._server.insert(self, statement, parameters)

    def begin(self, guards: Sequence[str], patience: float) -> None:
        """Begin a transaction."""
        self._now = self._server.begin(self._raw, guards, patience)

    def now(self) -> float:
        if self._now is None:
            self._now = self._server.now(self._raw)
        return self._now
