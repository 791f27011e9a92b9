"""Connections of one process: one per thread, none across a fork, every call bounded in time.

Two facts about SQLite shape this file. A process that forks hands its child SQLite's belief to hold locks
which the child does not hold; so connections at rest are closed before a fork, and one that cannot be is
never touched by the child, not even to close it. And SQLite lets writers wait by sleeping; so the threads of
a process queue for an ordinary lock first, and processes try again after fractions of a millisecond.
"""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast
from weakref import WeakSet, WeakValueDictionary

import sqlalchemy as sa

from tq_core.errors import TQError
from tq_sqlalchemy.database import USUAL, Database, Session, Terms
from tq_sqlalchemy.sqlite.clock import machine_time
from tq_sqlalchemy.sqlite.connection import ERRORS, VALUE_ERRORS, explain, is_busy, make_engine, open_connection

T = TypeVar("T")

logger = logging.getLogger("tq.sqlalchemy")

#: Seconds between looks at whether the file is still the one that was opened.
LOOK_EVERY = 1.0


class WriteTurn:
    """A lock that queues the writers of one process for one file."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()


# What is one per process by nature: forks and the writers of a file concern every object of the process.
_TURNS: WeakValueDictionary[tuple[int, str], WriteTurn] = WeakValueDictionary()
_SESSIONS: WeakSet[FileSession] = WeakSet()
_GUARD = threading.Lock()
_INHERITED: list[object] = []


class FileSession(Session):
    """One thread's connection, in autocommit mode."""

    def __init__(self, engine: sa.Engine, statements: dict[Any, tuple[str, tuple[str, ...], dict[str, Any]]]) -> None:
        self.engine = engine
        self.in_use = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._statements = statements

    @property
    def raw(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_connection(self.engine)
        return self._connection

    def _compiled(self, statement: sa.Executable) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        found = self._statements.get(statement)
        if found is None:
            compiled = statement.compile(dialect=self.engine.dialect)  # type: ignore[attr-defined]  # every Executable has it
            found = (str(compiled), tuple(compiled.positiontup), dict(compiled.params))
            self._statements[statement] = found
        return found

    def run(self, statement: sa.Executable, **parameters: Any) -> sqlite3.Cursor:
        sql, names, values = self._compiled(statement)
        if parameters:
            values = values | parameters
        return self.raw.execute(sql, [values[name] for name in names])

    def run_many(self, statement: sa.Executable, rows: Sequence[Mapping[str, Any]]) -> int:
        if not rows:
            return 0
        sql, names, values = self._compiled(statement)
        return self.raw.executemany(sql, [[{**values, **row}[name] for name in names] for row in rows]).rowcount

    def insert(self, statement: sa.Insert, **parameters: Any) -> int:
        return cast(int, self.run(statement, **parameters).lastrowid)

    def now(self) -> float:
        return machine_time()

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _Process:
    """What belongs to one process: its threads' sessions and its turn to write."""

    __slots__ = ("identity", "local", "looked_at", "pid", "prepared", "sessions", "turn")

    def __init__(self, path: str) -> None:
        self.pid = os.getpid()
        self.local = threading.local()
        self.sessions: WeakSet[FileSession] = WeakSet()
        self.prepared = False
        self.identity: tuple[int, int] | None = None
        self.looked_at = 0.0
        with _GUARD:
            key = (self.pid, path)
            turn = _TURNS.get(key)
            if turn is None:
                turn = _TURNS[key] = WriteTurn()
        self.turn = turn


class FileDatabase(Database):
    """A database file, used from any thread of any process.

    Args:
        url: which one, with an absolute path.
        unavailable: the error to raise when it cannot be used.
        failure: the error to raise when a value cannot be stored.
        busy_timeout: seconds a call may wait for other writers.
        engine_options: passed to ``create_engine``.
        engine_callback: called once with the engine (``database_engine_callback``).
        prepare: creates or upgrades tables; called once, inside a transaction, at the first use.
    """

    def __init__(
        self,
        url: sa.URL,
        *,
        unavailable: type[TQError],
        failure: type[TQError],
        busy_timeout: float,
        engine_options: Mapping[str, Any],
        engine_callback: Callable[[sa.Engine], object] | None = None,
        prepare: Callable[[sa.Connection], None],
    ) -> None:
        self.path = Path(url.database or "")
        self.unavailable = unavailable
        self.failure = failure
        self.busy_timeout = busy_timeout
        self.engine = make_engine(url, engine_options)
        if engine_callback is not None:
            engine_callback(self.engine)
        self._prepare = prepare
        self._statements: dict[Any, tuple[str, tuple[str, ...], dict[str, Any]]] = {}
        self._process = _Process(str(self.path))

    def read(self, work: Callable[[Session], T]) -> T:
        return self._run(work, False, False)

    def once(self, work: Callable[[Session], T], terms: Terms = USUAL) -> T:
        return self._run(work, True, False, terms.patience)

    def write(self, work: Callable[[Session], T], terms: Terms = USUAL, *, guards: Sequence[str] = ()) -> T:
        # One writes at a time anyway, and the answer of a file is never lost.
        return self._run(work, True, True, terms.patience)

    def ready(self) -> None:
        if not self._process.prepared:
            self._session()

    def connect(self, patience: float) -> None:
        session = self._session(patience)
        self._insist(session, lambda own: own.raw.execute("SELECT 1").fetchone(), False, False)

    def close(self) -> None:
        process = self._process
        if process.pid != os.getpid():
            return
        with _GUARD:
            sessions = list(process.sessions)
        for session in sessions:
            if session.in_use.acquire(timeout=self.busy_timeout):
                try:
                    with suppress(*ERRORS):  # one that cannot be closed is of no further use either
                        session.close()
                finally:
                    session.in_use.release()
        self.engine.dispose()

    def _session(self, patience: float | None = None) -> FileSession:
        process = self._process
        if process.pid != os.getpid():
            # Closing the parent's connections here would drop the locks this process takes on the same file.
            _INHERITED.append(process)
            inherited = process
            process = self._process = _Process(str(self.path))
            process.prepared, process.identity = inherited.prepared, inherited.identity
        if process.identity is not None and time.monotonic() - process.looked_at >= LOOK_EVERY:
            self._look_at_file(process)
        session: FileSession | None = getattr(process.local, "session", None)
        if session is None:
            session = FileSession(self.engine, self._statements)
            with _GUARD:
                process.sessions.add(session)
                _SESSIONS.add(session)
            process.local.session = session
        if not process.prepared:
            self._make_ready(session, patience)
            process.identity = _identity(self.path)
            process.looked_at = time.monotonic()
            process.prepared = True
        return session

    def _look_at_file(self, process: _Process) -> None:
        """Notice that the file was removed or replaced: open connections would go on with what nobody else sees."""
        process.looked_at = time.monotonic()
        if _identity(self.path) == process.identity:
            return
        logger.error(
            "The SQLite database %s was removed or replaced; it is opened anew, with what it holds now", self.path
        )
        process.identity = None
        process.prepared = False
        # Every thread gets a new session at its next call; the old ones are closed when nobody uses them any more.
        process.local = threading.local()

    def _make_ready(self, session: FileSession, patience: float | None) -> None:
        def upgrade(_session: Session) -> None:
            with self.engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    self._prepare(connection)
                except BaseException:
                    connection.exec_driver_sql("ROLLBACK")
                    raise
                connection.exec_driver_sql("COMMIT")

        self._insist(session, upgrade, True, False, patience)

    def _run(self, work: Callable[[Session], T], writes: bool, transaction: bool, patience: float | None = None) -> T:
        return self._insist(self._session(patience), work, writes, transaction, patience)

    def _insist(
        self,
        session: FileSession,
        work: Callable[[Session], T],
        writes: bool,
        transaction: bool,
        patience: float | None = None,
    ) -> T:
        patience = self.busy_timeout if patience is None else patience
        pause, deadline = 0.0001, None
        while True:
            try:
                return self._attempt(session, work, writes, transaction)
            except (*ERRORS, sa.exc.DBAPIError) as error:
                cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig else error
                if not is_busy(cause):
                    with session.in_use, suppress(*ERRORS):
                        # The file may come back, or another take its place: the next use opens it anew.
                        session.close()
                    raised = self.failure if isinstance(cause, VALUE_ERRORS) else self.unavailable
                    raise raised(explain(cause, self.path)) from cause
                now = time.monotonic()
                if deadline is None:
                    deadline = now + patience
                elif now >= deadline:
                    raise self.unavailable(
                        f"The SQLite database {self.path} was locked by another process for {patience:g} s; "
                        "look for a program that keeps a transaction open"
                    ) from cause
            time.sleep(pause * (0.5 + random.random()))
            pause = min(pause * 2, 0.005)

    def _attempt(self, session: FileSession, work: Callable[[Session], T], writes: bool, transaction: bool) -> T:
        turn = self._process.turn.lock if writes else None
        if turn is not None and not turn.acquire(timeout=self.busy_timeout):
            raise self.unavailable(
                f"The SQLite database {self.path} is being written by another thread for too long; try again"
            )
        try:
            with session.in_use:
                if not transaction:
                    return work(session)
                raw = session.raw
                raw.execute("BEGIN IMMEDIATE")
                try:
                    result = work(session)
                    raw.execute("COMMIT")
                except BaseException:
                    if raw.in_transaction:
                        raw.execute("ROLLBACK")
                    raise
                return result
        finally:
            if turn is not None:
                turn.release()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


# --- forks -----------------------------------------------------------------------------------------------

_HALTED: list[FileSession] = []


def _before_fork() -> None:
    _GUARD.acquire()
    for session in list(_SESSIONS):
        # A call in flight is bounded, but a fork should not wait long for it: then the connection is
        # inherited, and kept alive untouched in the child.
        if session.in_use.acquire(timeout=1.0):
            _HALTED.append(session)
            with suppress(*ERRORS):  # left open is what the child copes with anyway
                session.close()


def _after_fork() -> None:
    for session in _HALTED:
        session.in_use.release()
    _HALTED.clear()
    _GUARD.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
