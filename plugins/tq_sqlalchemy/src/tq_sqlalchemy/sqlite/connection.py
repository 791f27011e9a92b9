"""One connection to a SQLite file, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tq_core.errors import ImproperlyConfigured

#: What Python and the driver raise for a value that no column, or no rule of the table, can take.
VALUE_ERRORS = (UnicodeError, OverflowError, sqlite3.DataError, sqlite3.IntegrityError)

#: What the driver raises.
ERRORS = (sqlite3.Error, *VALUE_ERRORS)

#: RETURNING came with 3.35.
OLDEST = (3, 35, 0)

PRAGMAS = (
    # Readers and the one writer do not wait for each other.
    "journal_mode=WAL",
    # A commit survives the death of any process; a power cut may cost the last moments, never the file.
    "synchronous=NORMAL",
    # Overwriting deleted rows with zeros would double what every ack writes.
    "secure_delete=OFF",
    "foreign_keys=OFF",
    "temp_store=MEMORY",
    "cache_size=-4000",
    "wal_autocheckpoint=8000",
    # A WAL that a burst has blown up is cut back to this many bytes.
    "journal_size_limit=67108864",
)

#: What to look at, by a piece of SQLite's own message.
ADVICE = (
    ("disk is full", "the disk is full: make room"),
    ("disk I/O error", "the disk or the file system failed; network file systems are not supported"),
    ("readonly", "the file cannot be written: check its owner and mode, and those of its directory"),
    ("unable to open", "the file cannot be opened: check that its directory exists and may be written"),
    ("malformed", "the file is damaged: restore it from a backup, or move it away to start anew"),
    ("not a database", "the file is not a SQLite database: name another one, or move it away"),
    ("no such table", "the tables are gone: was the file replaced? Restart the processes that use it"),
)


def make_engine(url: sa.URL, options: Mapping[str, Any]) -> sa.Engine:
    """Make the engine; it connects later, and says ``ImproperlyConfigured`` if ``connect_args`` cannot be used.

    Raises:
        ImproperlyConfigured: SQLite is too old, or an option is not one of ``create_engine``.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise ImproperlyConfigured(f"SQLite {sqlite3.sqlite_version} is too old: tq-sqlalchemy needs 3.35 or newer")
    given = dict(options)
    arguments = {"check_same_thread": False, "timeout": 0.0, **dict(given.pop("connect_args", {}))}
    # Threads keep their connections themselves, so a pool's settings have nothing to say.
    for name in ("pool_size", "max_overflow", "pool_recycle", "pool_timeout", "pool_pre_ping", "poolclass"):
        given.pop(name, None)
    given.pop("isolation_level", None)
    try:
        engine = sa.create_engine(
            url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments, **given
        )
    except TypeError as error:
        raise ImproperlyConfigured(f"database_engine_options: {error}") from None

    @sa.event.listens_for(engine, "do_connect")
    def connect(dialect: sa.Dialect, _record: object, positional: Any, named: Any) -> Any:
        try:
            return dialect.connect(*positional, **named)
        except TypeError as error:
            raise ImproperlyConfigured(f"connect_args of the engine's options: {error}") from None

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    return engine


def open_connection(engine: sa.Engine) -> sqlite3.Connection:
    """Open a connection that belongs to the caller alone."""
    fairy = engine.raw_connection()
    connection = fairy.driver_connection
    fairy.detach()
    assert isinstance(connection, sqlite3.Connection)
    return connection


def is_busy(error: BaseException) -> bool:
    """True when another writer was in the way and trying again will do."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def explain(error: BaseException, path: Path) -> str:
    """Say in one line what went wrong with which file, and what to look at."""
    text = str(error)
    advice = next((advice for piece, advice in ADVICE if piece in text), None)
    if "unable to open" in text and not path.parent.is_dir():
        advice = f"the directory {path.parent} does not exist: create it"
    return f"The SQLite database {path}: {advice} ({text})" if advice else f"The SQLite database {path}: {text}"
