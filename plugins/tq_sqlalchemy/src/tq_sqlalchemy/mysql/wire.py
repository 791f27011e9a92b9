"""A connection as PyMySQL makes it, with what it lacks: several statements in one round trip, and a deadline."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import SERVER_STATUS

from tq_sqlalchemy.mysql.errors import LAST_WORDS, number_of

#: Seconds by which an answer may come later than its deadline. To change a socket's bound costs, so that it is changed
#: in steps.
STEP = 0.1

#: Bytes that every server takes at once.
SMALLEST_LIMIT = 1_000_000


class Answer:
    """What a statement brought."""

    __slots__ = ("_rows", "new_id", "rowcount")

    def __init__(self, result: Any) -> None:
        self.rowcount: int = result.affected_rows
        self.new_id: int = result.insert_id
        self._rows: list[Any] = list(result.rows or ())

    def fetchone(self) -> Any:
        """Return the next row as a tuple, or None."""
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Any]:
        """Return all further rows."""
        rows, self._rows = self._rows, []
        return rows


class Wire(Connection):
    """One connection. Made by the same arguments as PyMySQL's own."""

    # Of PyMySQL's own, which offers no other way to change them or to look at the socket.
    _sock: Any
    _result: Any
    _read_timeout: float | None
    _write_timeout: float | None
    _force_close: Callable[[], None]
    server_status: int

    #: Bytes of the longest packet the server takes, once it was asked.
    _largest: int | None = None

    def ask(self, statements: bytes) -> Answer:
        """Run one or several statements, separated by semicolons, in one round trip; return the last one's answer.

        Raises:
            pymysql.Error: one of them failed, and those after it were not run.
        """
        if len(statements) > SMALLEST_LIMIT:
            self._check_size(len(statements))
        try:
            self.query(statements)
            while self._result.has_next:
                self.next_result()
        except pymysql.Error as error:
            if number_of(error) in LAST_WORDS:
                self._force_close()
            raise
        return Answer(self._result)

    def _check_size(self, size: int) -> None:
        # The server would close the connection, and not always say why.
        if self._largest is None:
            self._largest = self.ask(b"SELECT @@max_allowed_packet").fetchone()[0]
        if size >= self._largest:
            raise pymysql.DataError(
                f"{size:,} bytes at once, and the server's max_allowed_packet is {self._largest:,}: "
                "raise that, or keep large data elsewhere"
            )

    def bound(self, deadline: float) -> None:
        """Wait for each answer no longer than until ``deadline``, by the monotonic clock."""
        steps = max(1, round((deadline - time.monotonic()) / STEP))
        self._read_timeout = self._write_timeout = steps * STEP

    def is_stale(self) -> bool:
        """True when the server has closed it. Sends nothing, unless something has come in that nobody asked for."""
        if not self.open:
            return True
        watch = select.poll()
        watch.register(self._sock, select.POLLIN)
        if not watch.poll(0):
            return False
        try:
            self.ping(False)  # over TLS, what has come in may be a harmless ticket
        except pymysql.Error:
            return True
        return False

    def is_idle(self) -> bool:
        """True when it is open and in no transaction."""
        return self.open and not self.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS

    def descriptor(self) -> int:
        """Return the socket's file descriptor, -1 when it is closed."""
        return int(self._sock.fileno()) if self.open else -1

    def abandon(self) -> None:
        """Close the socket without a word to the server."""
        self._force_close()
