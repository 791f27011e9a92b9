"""A MariaDB or MySQL server: how it is connected to, and what a transaction is there."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import pymysql
import sqlalchemy as sa
from pymysql.constants import CLIENT, FIELD_TYPE
from pymysql.converters import conversions

from tq_core.errors import ImproperlyConfigured
from tq_sqlalchemy.database import Cursor
from tq_sqlalchemy.mysql.batches import insertions
from tq_sqlalchemy.mysql.errors import explain, verdict_on
from tq_sqlalchemy.mysql.guards import GUARDS, lock_of
from tq_sqlalchemy.mysql.literals import literal
from tq_sqlalchemy.mysql.schema import install
from tq_sqlalchemy.mysql.wire import Wire
from tq_sqlalchemy.server.driver import Server, Verdict

if TYPE_CHECKING:
    from tq_sqlalchemy.server.session import ServerSession

#: SKIP LOCKED came with these.
OLDEST_MARIADB, OLDEST_MYSQL = (10, 6), (8, 0, 1)

#: Seconds a connection attempt takes at most, unless the URL says otherwise.
CONNECT_TIMEOUT = 4.0

#: Seconds a statement waits for another's lock, before the answer would be too late for whoever waits for it.
LOCK_WAIT = 3

#: What every session is told. Strict, so that nothing is cut off silently. UTC, so that no hour comes twice. The
#: isolation under which a look sees what has been committed, and locks cover rows but no gaps between them. And when
#: this side vanishes, the server keeps its locks for seconds (MariaDB), or minutes (MySQL), and not for hours.
SESSION = f"""
SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00',
    innodb_lock_wait_timeout = {LOCK_WAIT}, lock_wait_timeout = {LOCK_WAIT}
    /*M! , idle_transaction_timeout = 10 */ /*!80001 , wait_timeout = 600 */;
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
"""

#: Moments stay the text they are sent as.
DECODERS = {kind: convert for kind, convert in conversions.items() if kind != FIELD_TYPE.DATETIME}

#: Options of an engine that concern a pool, or what is decided here.
NOT_OURS = (
    *("pool_size", "max_overflow", "pool_recycle", "pool_timeout", "pool_pre_ping", "poolclass", "pool"),
    *("isolation_level", "paramstyle"),
)

#: An insertion of one row, cut before its values.
_PLAIN_INSERT = re.compile(r"(INSERT .* VALUES )(\([%s, ]*\))$", re.DOTALL)

_TIME = b"SELECT UNIX_TIMESTAMP(NOW(6))"
_LOCK = "SELECT GET_LOCK(CONCAT('tq/', SHA1(DATABASE())), %s)"
_UNLOCK = "DO RELEASE_LOCK(CONCAT('tq/', SHA1(DATABASE())))"


class MySQLServer(Server):
    """MariaDB or MySQL by PyMySQL.

    Args:
        url: with driver ``pymysql``.
        place: names it for people.
        options: for ``create_engine``.
        callback: called once with the engine.

    Raises:
        ImproperlyConfigured: an option is not one of ``create_engine``.
    """

    errors: ClassVar[tuple[type[BaseException], ...]] = (pymysql.Error,)

    def __init__(
        self,
        url: sa.URL,
        place: str,
        options: Mapping[str, Any],
        callback: Callable[[sa.Engine], object] | None,
    ) -> None:
        self.place = place
        self._opening = threading.local()
        self._largest = 0
        given = {name: value for name, value in options.items() if name not in NOT_OURS}
        try:
            self.engine = sa.create_engine(url, poolclass=sa.NullPool, paramstyle="format", **given)
        except TypeError as error:
            raise ImproperlyConfigured(f"database_engine_options: {error}") from None
        install(self.engine)
        if callback is not None:
            callback(self.engine)

        # After the user's own listeners, who may put in a fresh password.
        @sa.event.listens_for(self.engine, "do_connect")
        def connect(_dialect: sa.Dialect, _record: object, _positional: Any, named: dict[str, Any]) -> Wire:
            return _connect(named, self._opening.deadline)

    def open(self, deadline: float) -> Wire:
        self._opening.deadline = deadline
        fairy = self.engine.raw_connection()
        wire = fairy.driver_connection
        fairy.detach()
        assert isinstance(wire, Wire)
        return wire

    def is_stale(self, raw: Wire) -> bool:
        return raw.is_stale()

    def is_idle(self, raw: Wire) -> bool:
        return raw.is_idle()

    def bound(self, raw: Wire, deadline: float) -> None:
        raw.bound(deadline)

    def close(self, raw: Wire) -> None:
        if raw.is_idle():
            with suppress(pymysql.Error):
                raw.close()
        else:
            # To say goodbye might have to wait.
            raw.abandon()

    def socket(self, raw: Wire) -> int:
        return raw.descriptor()

    def verdict(self, error: BaseException, *, opening: bool) -> Verdict:
        return verdict_on(error, opening=opening)

    def explain(self, error: BaseException) -> str:
        return f"{self.place}: {explain(error)}"

    def begin(self, raw: Wire, guards: Sequence[str], patience: float) -> float | None:
        if not guards:
            raw.ask(b"START TRANSACTION")
            return None
        answer = raw.ask(b"START TRANSACTION; " + lock_of(guards) + b"; " + _TIME)
        return float(answer.fetchone()[0])

    def commit(self, raw: Wire) -> None:
        raw.ask(b"COMMIT")

    def rollback(self, raw: Wire) -> None:
        raw.ask(b"ROLLBACK")

    def now(self, raw: Wire) -> float:
        return float(raw.ask(_TIME).fetchone()[0])

    def execute(self, raw: Wire, sql: str, parameters: Any) -> Cursor:
        return raw.ask(sql.encode() % tuple([literal(value) for value in parameters]))

    def execute_many(self, raw: Wire, sql: str, rows: Sequence[Any]) -> int:
        plain = _PLAIN_INSERT.match(sql)
        if plain is None:
            return sum(self.execute(raw, sql, row).rowcount for row in rows)
        head, places = plain[1].encode(), plain[2].encode()
        encoded = [places % tuple([literal(value) for value in row]) for row in rows]
        return sum(raw.ask(statement).rowcount for statement in insertions(head, encoded))

    def insert(self, session: ServerSession, statement: sa.Insert, parameters: Mapping[str, Any]) -> int:
        answer = session.run(statement, **parameters)
        return int(answer.new_id)  # type: ignore[attr-defined]  # it is this driver's own

    def prepare(self, make: Callable[[sa.Connection], None], deadline: float) -> None:
        self._opening.deadline = deadline
        with self.engine.connect() as connection:
            wire = connection.connection.driver_connection
            assert isinstance(wire, Wire)
            _check_version(self.place, connection)
            # Every statement that makes a table is a transaction of its own here, and would end any other.
            if connection.exec_driver_sql(_LOCK, (max(1, int(deadline - time.monotonic())),)).scalar() != 1:
                raise pymysql.OperationalError(1205, "another process has been making the tables for too long")
            try:
                for statement in GUARDS:
                    connection.exec_driver_sql(statement)
                make(connection)
                connection.commit()
            finally:
                with suppress(pymysql.Error, sa.exc.SQLAlchemyError):  # the lock ends with the connection as well
                    connection.exec_driver_sql(_UNLOCK)


def _connect(named: Mapping[str, Any], deadline: float) -> Wire:
    wanted = dict(named)
    flags = wanted.pop("client_flag", 0) | CLIENT.MULTI_STATEMENTS | CLIENT.FOUND_ROWS
    theirs = wanted.pop("init_command", None)
    seconds = max(0.05, deadline - time.monotonic())
    wanted["connect_timeout"] = min(seconds, float(wanted.get("connect_timeout", CONNECT_TIMEOUT)))
    wanted |= {"read_timeout": seconds, "write_timeout": seconds}
    wanted |= {"charset": "utf8mb4", "autocommit": True, "conv": DECODERS}
    try:
        return Wire(client_flag=flags, init_command=f"{theirs};{SESSION}" if theirs else SESSION, **wanted)
    except TypeError as error:
        raise ImproperlyConfigured(f"The URL's query, or connect_args of the engine's options: {error}") from None


def _check_version(place: str, connection: sa.Connection) -> None:
    found = tuple(connection.dialect.server_version_info or ())
    is_mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
    kind, oldest = ("MariaDB", OLDEST_MARIADB) if is_mariadb else ("MySQL", OLDEST_MYSQL)
    if found < oldest:
        versions = [".".join(map(str, version)) for version in (found, oldest)]
        raise ImproperlyConfigured(f"{place}: {kind} {versions[0]} is too old; {versions[1]} or newer is needed")
