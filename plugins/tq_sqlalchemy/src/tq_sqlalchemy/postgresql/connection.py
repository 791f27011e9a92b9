"""Connections to PostgreSQL: how they are opened, bounded and judged."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus

from tq_core.errors import ImproperlyConfigured
from tq_sqlalchemy.database import Cursor
from tq_sqlalchemy.server.driver import Server, Verdict

if TYPE_CHECKING:
    from tq_sqlalchemy.server.session import ServerSession

T = TypeVar("T")

#: Seconds a connection attempt takes at most, unless the URL says otherwise.
CONNECT_TIMEOUT = 4

#: Where the URL says nothing else: a peer that is gone is noticed although nothing is sent (seconds), or when what is
#: sent is not acknowledged (milliseconds).
KEEP_ALIVE = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 9000,
}

#: Options of an engine that concern a pool; connections are kept otherwise.
POOL_OPTIONS = ("pool_size", "max_overflow", "pool_recycle", "pool_timeout", "pool_pre_ping", "poolclass", "pool")

#: The guard of those who make tables.
PREPARING = "tables"

#: SQLSTATEs, or their classes, by what they mean; https://www.postgresql.org/docs/current/errcodes-appendix.html
VERDICTS: Mapping[str, Verdict] = {
    "08": Verdict.BROKEN,  # connection_exception
    "57P01": Verdict.BROKEN,  # admin_shutdown
    "57P02": Verdict.BROKEN,  # crash_shutdown
    "57P03": Verdict.AGAIN,  # cannot_connect_now: starting up
    "57P05": Verdict.BROKEN,  # idle_session_timeout
    "25P03": Verdict.BROKEN,  # idle_in_transaction_session_timeout
    "25006": Verdict.BROKEN,  # read_only_sql_transaction: this is a standby now
    "40": Verdict.AGAIN,  # transaction_rollback: deadlocks and the like
    "55P03": Verdict.AGAIN,  # lock_not_available
    "53300": Verdict.AGAIN,  # too_many_connections
    "22": Verdict.VALUES,  # data_exception
    "23": Verdict.VALUES,  # integrity_constraint_violation: a rule of the site's own
    "P0001": Verdict.VALUES,  # raise_exception, likewise
}

#: What to look at, by SQLSTATE or its class.
ADVICE: Mapping[str, str] = {
    "26000": "a pooler gave away the connection's prepared statements: set connect_args: {prepare_threshold: null} in "
    "the engine options, and doorbell: false",
    "25006": "the server only reads: add target_session_attrs=read-write to the URL and name all hosts",
    "28": "check user and password, and the server's pg_hba.conf",
    "3D000": "the database does not exist: create it",
    "3F000": "the schema does not exist: create it",
    "42501": "the user lacks a right: grant it",
    "42P01": "a table is missing: was it dropped? Restart the processes that use it",
    "53100": "the server's disk is full: make room",
    "53300": "the server has no room for another connection: raise max_connections or use a pooler",
    "55P03": "another program holds a lock: look at pg_stat_activity for long transactions",
    "57014": "the server cancelled the statement: raise statement_timeout for this user",
}

#: Words of a refused login, whose SQLSTATE libpq keeps to itself.
LOGIN = (
    ("the database system is", Verdict.AGAIN, "it is starting or stopping"),
    ("too many clients", Verdict.AGAIN, ADVICE["53300"]),
    ("connection slots", Verdict.AGAIN, ADVICE["53300"]),
    ("too many connections", Verdict.AGAIN, ADVICE["53300"]),
    ("authentication failed", Verdict.WRONG, ADVICE["28"]),
    ("no password supplied", Verdict.WRONG, "put the password into the URL"),
    ("pg_hba.conf", Verdict.WRONG, ADVICE["28"]),
    ("role ", Verdict.WRONG, ADVICE["28"]),
    ("database ", Verdict.WRONG, ADVICE["3D000"]),
    ("certificate", Verdict.WRONG, "check sslmode, sslrootcert and the server's certificate"),
    ("SSL", Verdict.WRONG, "check sslmode"),
    ("invalid", Verdict.WRONG, "check the URL"),
)


class Silent(psycopg.OperationalError):
    """The server did not answer in time."""


class Connection(psycopg.Connection[Any]):
    """A connection whose every wait ends at a deadline of this side."""

    deadline = math.inf

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        return super().wait(_bounded(gen, self.deadline), *args, **kwargs)


def _bounded(gen: Generator[Any, Any, T], deadline: float) -> Generator[Any, Any, T]:
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= deadline:
                raise Silent("the server did not answer in time")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's value has no type of its own


class PostgresServer(Server):
    """PostgreSQL by psycopg 3.

    Args:
        url: with driver ``psycopg``.
        place: names it for people.
        options: for ``create_engine``.
        callback: called once with the engine.

    Raises:
        ImproperlyConfigured: an option is not one of ``create_engine``.
    """

    errors: ClassVar[tuple[type[BaseException], ...]] = (psycopg.Error, UnicodeError, OverflowError)

    def __init__(
        self,
        url: sa.URL,
        place: str,
        options: Mapping[str, Any],
        callback: Callable[[sa.Engine], object] | None,
    ) -> None:
        self.place = place
        self._password = url.password
        given = {name: value for name, value in options.items() if name not in POOL_OPTIONS}
        usual = {**KEEP_ALIVE, "connect_timeout": CONNECT_TIMEOUT}
        arguments = {name: value for name, value in usual.items() if name not in url.query}
        arguments |= dict(given.pop("connect_args", {}))
        given.pop("isolation_level", None)
        try:
            self.engine = sa.create_engine(
                url, poolclass=sa.NullPool, connect_args=arguments, use_native_hstore=False, **given
            )
        except TypeError as error:
            raise ImproperlyConfigured(f"database_engine_options: {error}") from None
        if callback is not None:
            callback(self.engine)

        # After the user's own listeners, who may put in a fresh password.
        self._opening = threading.local()
        sa.event.listen(self.engine, "do_connect", self._connect)

    def _connect(self, _dialect: sa.Dialect, _record: object, positional: Any, named: Any) -> Connection:
        deadline = getattr(self._opening, "deadline", time.monotonic() + CONNECT_TIMEOUT)
        left = max(1, math.ceil(deadline - time.monotonic()))
        allowed = int(float(named.get("connect_timeout") or CONNECT_TIMEOUT))
        connection = Connection.connect(*positional, **{**named, "connect_timeout": min(allowed, left)})
        connection.deadline = deadline
        return connection

    def open(self, deadline: float) -> Connection:
        self._opening.deadline = deadline
        fairy = self.engine.raw_connection()
        connection = fairy.driver_connection
        fairy.detach()
        assert isinstance(connection, Connection)
        connection.deadline = deadline
        connection.autocommit = True
        return connection

    def is_stale(self, raw: Connection) -> bool:
        if raw.closed:
            return True
        # Nothing comes unasked but the news that the server ends the connection.
        watch = poll()
        watch.register(raw.pgconn.socket, POLLIN)
        return bool(watch.poll(0))

    def is_idle(self, raw: Connection) -> bool:
        return raw.pgconn.transaction_status == TransactionStatus.IDLE

    def bound(self, raw: Connection, deadline: float) -> None:
        raw.deadline = deadline

    def close(self, raw: Connection) -> None:
        with suppress(psycopg.Error):
            raw.close()

    def socket(self, raw: Connection) -> int:
        return raw.pgconn.socket

    def verdict(self, error: BaseException, *, opening: bool) -> Verdict:
        state = getattr(error, "sqlstate", None)
        if state:
            return VERDICTS.get(state) or VERDICTS.get(state[:2]) or Verdict.WRONG
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            if not opening:
                return Verdict.BROKEN
            return next((verdict for words, verdict, _ in LOGIN if words in str(error)), Verdict.REFUSED)
        return Verdict.VALUES if isinstance(error, psycopg.DataError | UnicodeError | OverflowError) else Verdict.WRONG

    def explain(self, error: BaseException) -> str:
        text = " ".join(str(error).split())
        if self._password:
            text = text.replace(str(self._password), "***")
        state = getattr(error, "sqlstate", None) or ""
        advice = ADVICE.get(state) or ADVICE.get(state[:2])
        if not state:
            advice = next(
                (advice for words, _, advice in LOGIN if words in text), "check that it runs and is reachable"
            )
        return f"{self.place}: {text} ({advice})" if advice else f"{self.place}: {text}"

    def begin(self, raw: Connection, guards: Sequence[str], patience: float) -> float | None:
        # One message: should this side vanish within the transaction, the server does not keep its locks for long.
        bound = f"SET LOCAL idle_in_transaction_session_timeout = {int(patience * 1000)}"
        limit = f"SET LOCAL lock_timeout = {int(patience * 1000)}"
        if not guards:
            raw.execute(f"BEGIN; {bound}; {limit}")
            return None
        locks = ", ".join(f"pg_advisory_xact_lock({key})" for key in sorted(map(guard_key, guards)))
        now = "extract(epoch FROM clock_timestamp())::float8"
        cursor = raw.execute(f"BEGIN; {bound}; {limit}; SELECT {locks}; SELECT {now}")
        while cursor.nextset():
            pass
        return _only(cursor)

    def commit(self, raw: Connection) -> None:
        raw.execute("COMMIT")

    def rollback(self, raw: Connection) -> None:
        raw.execute("ROLLBACK")

    def now(self, raw: Connection) -> float:
        return _only(raw.execute("SELECT extract(epoch FROM clock_timestamp())::float8"))

    def execute(self, raw: Connection, sql: str, parameters: Any) -> Cursor:
        return raw.execute(sql, parameters)

    def execute_many(self, raw: Connection, sql: str, rows: Sequence[Any]) -> int:
        with raw.cursor() as cursor:
            cursor.executemany(sql, rows)
            return cursor.rowcount

    def insert(self, session: ServerSession, statement: sa.Insert, parameters: Mapping[str, Any]) -> int:
        returning = _returning_id(statement)
        return int(session.run(returning, **parameters).fetchone()[0])

    def prepare(self, make: Callable[[sa.Connection], None], deadline: float) -> None:
        self._opening.deadline = deadline
        with self.engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({guard_key(PREPARING)})")
            make(connection)


def _only(cursor: psycopg.Cursor[Any]) -> float:
    row = cursor.fetchone()
    assert row is not None
    return float(row[0])


_RETURNING: dict[sa.Insert, sa.Executable] = {}


def _returning_id(statement: sa.Insert) -> sa.Executable:
    found = _RETURNING.get(statement)
    if found is None:
        found = _RETURNING[statement] = statement.returning(statement.table.c.id)
    return found


def guard_key(word: str) -> int:
    """Turn a guard into the number of an advisory lock."""
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8, person=b"tq").digest()
    return int.from_bytes(digest, "big", signed=True)
