"""PostgreSQL's part of the seam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from tq_core.errors import TQError
from tq_sqlalchemy.database import Database
from tq_sqlalchemy.dialect import Dialect, ResultVerbs
from tq_sqlalchemy.migrations import migrate
from tq_sqlalchemy.models import GROUP_SEQUENCE, TASK_SEQUENCE
from tq_sqlalchemy.postgresql import tables as _tables  # noqa: F401  # describes the tables
from tq_sqlalchemy.postgresql.connection import PostgresServer
from tq_sqlalchemy.postgresql.doorbell import NotifyingDoorbell
from tq_sqlalchemy.postgresql.messages import PostgresMessages
from tq_sqlalchemy.postgresql.results import PostgresResults
from tq_sqlalchemy.server.connections import Connections, connections_to
from tq_sqlalchemy.server.database import ServerDatabase
from tq_sqlalchemy.server.publishers import PUBLISHER_EXPIRES, publisher, publishers
from tq_sqlalchemy.waking import Doorbell, SilentDoorbell


class PostgreSQL(Dialect):
    """A database on a PostgreSQL server.

    Args:
        url: names it; whatever driver it names, psycopg 3 is used.
    """

    messages = PostgresMessages()
    sequences = True
    moment_type = sa.DateTime()
    _connections: Connections

    def __init__(self, url: sa.URL) -> None:
        self._url = url.set(drivername="postgresql+psycopg")

    def __str__(self) -> str:
        url = self._url
        hosts = url.query.get("host") or url.host or "this machine"
        named = hosts if isinstance(hosts, str) else ", ".join(hosts)
        return f"the PostgreSQL database {url.database or url.username or ''} on {named}" + (
            f":{url.port}" if url.port else ""
        )

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
        self._connections = connections_to(
            key, lambda: PostgresServer(self._url, str(self), engine_options, engine_callback)
        )
        return ServerDatabase(
            self._connections, unavailable=unavailable, failure=failure, patience=patience, prepare=prepare
        )

    def doorbell(self, database: Database, *, enabled: bool = True) -> Doorbell:
        return NotifyingDoorbell(database, self._connections) if enabled else SilentDoorbell()

    def results(self, table: sa.Table, columns: Sequence[str], *, numbered: bool) -> ResultVerbs:
        return PostgresResults(table, columns, numbered=numbered)

    def insert_new(self, table: sa.Table, columns: Iterable[str]) -> sa.Insert:
        insertion = postgresql.insert(table).values({name: sa.bindparam(name) for name in columns})
        return insertion.on_conflict_do_nothing()

    def prepare_queues(self, connection: sa.Connection) -> None:
        migrate(connection, "publishers", publishers, str(self))
        longest_ago = sa.extract("epoch", sa.func.now()) - PUBLISHER_EXPIRES
        connection.execute(sa.delete(publisher).where(publisher.c.touched < longest_ago))

    def prepare_coordination(self, connection: sa.Connection) -> None:
        # Where somebody made the tables otherwise, Celery's sequences may be missing.
        for name in (TASK_SEQUENCE, GROUP_SEQUENCE):
            sa.Sequence(name).create(connection, checkfirst=True)
