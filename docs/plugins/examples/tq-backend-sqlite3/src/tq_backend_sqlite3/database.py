"""One connection a process, used by one thread at a time, and closed while the process forks."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from tq_core.errors import BackendUnavailable

from tq_backend_sqlite3 import forks

_SCHEMA = """
create table if not exists results (task_id text primary key, state text, document blob, expires real);
create table if not exists groups (group_id text primary key, document blob, expires real);
create table if not exists chords (
    group_id text primary key, size integer, claimant text, claim_ends real default 0, closed integer default 0,
    expires real
);
create table if not exists parts (
    group_id text, task_id text, position integer, document blob, primary key (group_id, task_id)
);
"""


class Database:
    """A file of results.

    Args:
        path: the file; made when first used.
        timeout: seconds that a call may wait for other writers.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self._timeout = timeout
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        forks.watch_over(self)

    def before_fork(self) -> None:
        """Wait for whoever uses the connection, and close it. The lock is kept, so that nobody opens another."""
        self._lock.acquire()
        self.close()

    def after_fork(self) -> None:
        """Let threads go on, in the parent and in the child; who needs a connection opens one."""
        self._lock.release()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hand out the connection.

        Raises:
            BackendUnavailable: the file cannot be used, or other writers kept it for longer than the time-out.
        """
        with self._lock:
            try:
                yield self._opened()
            except sqlite3.Error as error:
                raise BackendUnavailable(
                    f"the result file {str(self.path)!r} cannot be used: {error}. Check that its directory exists,"
                    " belongs to this user and has free space."
                ) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hand out the connection within a transaction: all statements happen, or none of them.

        Raises:
            BackendUnavailable: as for :meth:`reading`.
        """
        with self.reading() as connection:
            connection.execute("begin immediate")
            try:
                yield connection
            except BaseException:
                connection.execute("rollback")
                raise
            connection.execute("commit")

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                self.path,
                timeout=self._timeout,
                isolation_level=None,
                check_same_thread=False,
            )
            with contextlib.suppress(sqlite3.OperationalError):  # busy just now: whoever opens it next will do it
                connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.executescript(_SCHEMA)
            self._connection = connection
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
