"""MariaDB's and MySQL's part of the seam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from tq_core.errors import ImproperlyConfigured, TQError
from tq_sqlalchemy.database import Database
from tq_sqlalchemy.dialect import Dialect, ResultVerbs
from tq_sqlalchemy.doorbell import SocketDoorbell
from tq_sqlalchemy.migrations import migrate
from tq_sqlalchemy.mysql.messages import MySQLMessages
from tq_sqlalchemy.mysql.results import MySQLResults
from tq_sqlalchemy.mysql.server import MySQLServer
from tq_sqlalchemy.mysql.waking import LookingDoorbell
from tq_sqlalchemy.server.connections import connections_to
from tq_sqlalchemy.server.database import ServerDatabase
from tq_sqlalchemy.server.publishers import PUBLISHER_EXPIRES, publisher, publishers
from tq_sqlalchemy.waking import Doorbell

PORT = 3306


class MySQL(Dialect):
    """A database on a MariaDB or MySQL server.

    Args:
        url: names it; whichever driver it names, PyMySQL is used.

    Raises:
        ImproperlyConfigured: the URL names no database.
    """

    messages = MySQLMessages()
    moment_type = mysql.VARCHAR(32)

    def __init__(self, url: sa.URL) -> None:
        if not url.database:
            raise ImproperlyConfigured("The URL names no database; write it like mysql://user:password@host/database")
        self._url = url.set(drivername="mysql+pymysql")
        socket = url.query.get("unix_socket")
        # A name and an address of the same server ring two different bells; looking now and then has to do there.
        host = "127.0.0.1" if url.host in {None, "localhost", "::1"} else url.host
        self._place = f"at {socket}" if socket else f"on {host}:{url.port or PORT}"

    def __str__(self) -> str:
        return f"the database {self._url.database} {self._place} (MariaDB or MySQL)"

    def database(
        self,
        *,
        unavailable: type[TQError],
        failure: type[TQError],
        patience: float,
        engine_options: Mapping[str, Any],
        engine_callback: Callable[[sa.Engine], object] | None = None,
        prepare: Callable[[sa.Connection], None],
    ) -> Database:
        key = (self._url.render_as_string(hide_password=False), repr(engine_options), engine_callback)
        connections = connections_to(key, lambda: MySQLServer(self._url, str(self), engine_options, engine_callback))
        return ServerDatabase(connections, unavailable=unavailable, failure=failure, patience=patience, prepare=prepare)

    def doorbell(self, database: Database, *, enabled: bool = True) -> Doorbell:
        return LookingDoorbell(SocketDoorbell(str(self), enabled))

    def results(self, table: sa.Table, columns: Sequence[str], *, numbered: bool) -> ResultVerbs:
        return MySQLResults(table, columns)

    def insert_new(self, table: sa.Table, columns: Iterable[str]) -> sa.Insert:
        return sa.insert(table).values({name: sa.bindparam(name) for name in columns}).prefix_with("IGNORE")

    def prepare_queues(self, connection: sa.Connection) -> None:
        migrate(connection, "publishers", publishers, str(self))
        # Found first, because a deletion would wait for every ticket that is just being used.
        longest_ago = sa.func.unix_timestamp() - PUBLISHER_EXPIRES
        silent = connection.scalars(sa.select(publisher.c.id).where(publisher.c.touched < longest_ago)).all()
        connection.execute(sa.delete(publisher).where(publisher.c.id.in_(silent)))
