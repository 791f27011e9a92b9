"""SQLite's part of the seam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from tq_core.errors import ImproperlyConfigured, TQError
from tq_sqlalchemy.database import Database
from tq_sqlalchemy.dialect import Dialect, ResultVerbs
from tq_sqlalchemy.doorbell import SocketDoorbell
from tq_sqlalchemy.sqlite.clock import reconcile
from tq_sqlalchemy.sqlite.database import FileDatabase
from tq_sqlalchemy.sqlite.messages import SQLiteMessages
from tq_sqlalchemy.sqlite.results import SQLiteResults
from tq_sqlalchemy.waking import Doorbell


class SQLite(Dialect):
    """A SQLite file.

    A relative path is taken from the working directory of this moment; a later ``chdir`` moves nothing.

    Args:
        url: names the file.

    Attributes:
        path: the file.

    Raises:
        ImproperlyConfigured: the URL names no file.
    """

    messages = SQLiteMessages()
    moment_type = sa.String()

    def __init__(self, url: sa.URL) -> None:
        name = url.database or ""
        if name in {"", ":memory:"} or name.startswith("file:"):
            raise ImproperlyConfigured(
                "A SQLite database in memory cannot be shared with other threads and processes: name a file "
                "(sqlite:////var/lib/app/queue.db), or use memory:// to stay inside one process"
            )
        self.path = Path(name).expanduser().resolve()
        self._url = url.set(database=str(self.path))

    def __str__(self) -> str:
        return f"the SQLite database {self.path}"

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
        return FileDatabase(
            self._url,
            unavailable=unavailable,
            failure=failure,
            busy_timeout=patience,
            engine_options=engine_options,
            engine_callback=engine_callback,
            prepare=prepare,
        )

    def doorbell(self, database: Database, *, enabled: bool = True) -> Doorbell:
        return SocketDoorbell(str(self.path), enabled)

    def results(self, table: sa.Table, columns: Sequence[str], *, numbered: bool) -> ResultVerbs:
        return SQLiteResults(table, columns)

    def insert_new(self, table: sa.Table, columns: Iterable[str]) -> sa.Insert:
        return sqlite.insert(table).values({name: sa.bindparam(name) for name in columns}).on_conflict_do_nothing()

    def prepare_coordination(self, connection: sa.Connection) -> None:
        reconcile(connection)
