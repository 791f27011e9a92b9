"""What the server's errors mean, by their numbers.

Source: "Server Error Message Reference" and "Client Error Message Reference" of the MySQL 8.0 manual, "MariaDB Error
Codes" of the MariaDB Knowledge Base.
"""

from __future__ import annotations

from collections.abc import Mapping

import pymysql
import sqlalchemy as sa
from pymysql.constants import CR, ER

from tq_sqlalchemy.server.driver import Verdict

#: A ticket that was let through before; see ``messages.py``.
USED_TICKET = ER.BAD_NULL_ERROR

#: After these a connection is as good as broken: the server is going away, or takes no writes any more. What was
#: asked has not been done.
LAST_WORDS = frozenset({1053, 1290, 1792, 1836, 1927, 3100})

_VERDICTS: Mapping[int, Verdict] = {
    **dict.fromkeys(LAST_WORDS, Verdict.AGAIN),
    ER.LOCK_DEADLOCK: Verdict.AGAIN,
    ER.LOCK_WAIT_TIMEOUT: Verdict.AGAIN,
    1020: Verdict.AGAIN,  # changed by another transaction since it was read
    ER.TABLE_EXISTS_ERROR: Verdict.AGAIN,  # made by another process meanwhile
    ER.DUP_ENTRY: Verdict.AGAIN,  # inserted by another transaction meanwhile
    ER.CON_COUNT_ERROR: Verdict.AGAIN,
    1203: Verdict.AGAIN,  # too many connections of this user
    4031: Verdict.AGAIN,  # closed because it was idle, before anything was sent
    CR.CR_SERVER_GONE_ERROR: Verdict.AGAIN,  # the statement did not leave this side as a whole
    CR.CR_SERVER_LOST: Verdict.BROKEN,
    CR.CR_COMMANDS_OUT_OF_SYNC: Verdict.BROKEN,
    ER.NET_PACKET_TOO_LARGE: Verdict.VALUES,
}

_LOGIN = "check the URL's user and password"
_RUNNING = "check that it runs and is reachable"
_READING = "the server takes no writes: is it a replica?"
_FULL = "the server's disk is full: make room"

#: What to look at.
_ADVICE: Mapping[int, str] = {
    ER.DBACCESS_DENIED_ERROR: "the user lacks the right to use this database: grant it",
    ER.ACCESS_DENIED_ERROR: _LOGIN,
    1698: _LOGIN,
    ER.BAD_DB_ERROR: "the database does not exist: create it",
    ER.TABLEACCESS_DENIED_ERROR: "grant SELECT, INSERT, UPDATE, DELETE, CREATE and INDEX on the database",
    ER.NO_SUCH_TABLE: "a table is missing: was it dropped? Restart the processes that use it",
    ER.LOCK_WAIT_TIMEOUT: "another program keeps a transaction open: look at SHOW PROCESSLIST",
    ER.DISK_FULL: _FULL,
    ER.RECORD_FILE_FULL: _FULL,
    ER.CON_COUNT_ERROR: "raise the server's max_connections, or run fewer processes",
    1203: "raise the user's max_user_connections, or run fewer processes",
    1290: _READING,
    1792: _READING,
    1836: _READING,
    CR.CR_CONNECTION_ERROR: _RUNNING,
    CR.CR_CONN_HOST_ERROR: _RUNNING,
    CR.CR_SERVER_LOST: f"{_RUNNING}, and that nobody keeps a transaction open",
}


def number_of(error: BaseException) -> int:
    """Return an error's number, -1 when it has none."""
    number = error.args[0] if isinstance(error, pymysql.Error) and error.args else -1
    return number if isinstance(number, int) else -1


def verdict_on(error: BaseException, *, opening: bool) -> Verdict:
    """Judge an error; ``opening`` when it came while connecting."""
    verdict = _VERDICTS.get(number_of(error))
    if isinstance(error, pymysql.DataError):
        verdict = Verdict.VALUES
    elif verdict is None:
        # Out of step, or without a number: whatever is wrong, it is with the connection.
        vague = isinstance(error, pymysql.InternalError | pymysql.InterfaceError) and number_of(error) <= 0
        unreachable = number_of(error) in {CR.CR_CONNECTION_ERROR, CR.CR_CONN_HOST_ERROR}
        verdict = Verdict.BROKEN if vague or unreachable else Verdict.WRONG
    return Verdict.REFUSED if opening and verdict is Verdict.BROKEN else verdict


def explain(error: BaseException) -> str:
    """Say in one line what went wrong, and what to look at. The server's texts name users, but no passwords."""
    if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
        error = error.orig
    text = " ".join(str(error.args[-1]).split()) if error.args else type(error).__name__
    advice = _ADVICE.get(number_of(error))
    return f"{text} ({advice})" if advice else text
