"""Results in a database, in Celery's own tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import sqlalchemy as sa

from tq_core.contracts.backend import Backend, BackendRequest, ChordPart, ResultRecord, ResultSubscription
from tq_core.contracts.coordination import Coordination
from tq_core.contracts.serializer import Serializer
from tq_core.errors import BackendError, BackendUnavailable, ImproperlyConfigured
from tq_core.states import READY_STATES
from tq_sqlalchemy.address import dialect_of
from tq_sqlalchemy.capabilities import BACKEND_CAPABILITIES
from tq_sqlalchemy.chords import Chords
from tq_sqlalchemy.coordination import DatabaseCoordination
from tq_sqlalchemy.database import LONG, Session
from tq_sqlalchemy.dialect import Dialect
from tq_sqlalchemy.migrations import migrate
from tq_sqlalchemy.models import coordination as coordination_tables
from tq_sqlalchemy.models import result_tables
from tq_sqlalchemy.options import TransportOptions
from tq_sqlalchemy.results import ResultCodec, naive_utc
from tq_sqlalchemy.sharing import UNPICKLED, shared_with
from tq_sqlalchemy.watching import CHUNK, Watchers

#: Rows deleted at a time, so that other writers get their turn in between.
EXPIRE_CHUNK = 2000


class DatabaseBackend(Backend):
    """A result backend in one database.

    Args:
        dialect: which one.
        settings: the resolved settings.
        serializer: writes and reads results.
        accept: content types that may be read.
    """

    capabilities = BACKEND_CAPABILITIES

    def __init__(self, dialect: Dialect, settings: Any, serializer: Serializer, accept: frozenset[str]) -> None:
        self._dialect = dialect
        self._serializer = serializer
        self._accept = accept
        self._expires = _seconds(settings.get("result_expires"))
        peer = shared_with(settings)
        self._pickled = peer is not None and peer != UNPICKLED
        if peer is not None:
            # Celery's workers count no parts: its `celery.chord_unlock` looks whether they have ended.
            self.capabilities = replace(BACKEND_CAPABILITIES, chords=False)
        names, schemas = (dict(settings.get(name) or {}) for name in ("database_table_names", "database_table_schemas"))
        self._task, self._group = result_tables(
            names, schemas, extended=bool(settings.get("result_extended")), sequences=dialect.sequences
        )
        self._database = dialect.database(
            unavailable=BackendUnavailable,
            failure=BackendError,
            patience=TransportOptions().busy_timeout,
            engine_options=settings.get("database_engine_options") or {},
            engine_callback=settings.get("database_engine_callback"),
            prepare=self._prepare,
        )
        self._doorbell = dialect.doorbell(self._database, enabled=_rings(settings))
        self._watchers = Watchers(self._database, dialect.messages.version, self._doorbell, self._fetch_ready)
        self._chords = Chords(self._database, dialect, serializer)
        self._coordination = DatabaseCoordination(self._database)
        self._codec = ResultCodec(serializer, accept, (), pickled=self._pickled)
        self._statements = dialect.results(self._task, self._codec.columns, numbered=True)
        group = self._group
        called: sa.BindParameter[str] = sa.bindparam("called")
        self._load = sa.select(group.c.result).where(group.c.taskset_id == called)
        self._drop = sa.delete(group).where(group.c.taskset_id == called)
        self._save = sa.insert(group).values(
            taskset_id=called,
            result=sa.bindparam("value"),
            date_done=sa.bindparam("moment", type_=dialect.moment_type),
        )
        self._expire_groups = sa.delete(group).where(
            sa.type_coerce(group.c.date_done, dialect.moment_type) < sa.bindparam("before", type_=dialect.moment_type)
        )

    @classmethod
    def from_request(cls, request: BackendRequest) -> DatabaseBackend:
        """Open the backend a hook was asked for.

        Raises:
            ImproperlyConfigured: the URL or an option cannot be used.
        """
        url = request.url
        if "://" not in url:
            url = request.settings.get("database_url") or ""
            if not url:
                raise ImproperlyConfigured(
                    f"result_backend = {request.url!r} needs database_url, or write db+sqlite:////path/results.db"
                )
        return cls(dialect_of(url), request.settings, request.serializer, request.accept)

    def _prepare(self, connection: sa.Connection) -> None:
        migrate(connection, "coordination", coordination_tables, str(self._dialect))
        self._dialect.prepare_coordination(connection)
        for table in (self._task, self._group):
            table.create(connection, checkfirst=True)
        # An older Celery, or one without result_extended, may have made the table with fewer columns.
        found = {
            column["name"]: column
            for column in sa.inspect(connection).get_columns(self._task.name, schema=self._task.schema)
        }
        self._codec = ResultCodec(self._serializer, self._accept, found, pickled=self._pickled)
        numbered = bool(found["id"].get("default") or found["id"].get("identity"))
        self._statements = self._dialect.results(self._task, self._codec.columns, numbered=numbered)

    def connect(self, timeout: float) -> None:
        self._database.connect(timeout)

    def store(self, records: Sequence[ResultRecord]) -> None:
        if not records:
            return
        self._database.ready()
        now = naive_utc(datetime.now(timezone.utc))
        rows = [self._codec.row_of(record, now) for record in records]
        run = self._database.once if len(rows) <= self._statements.rows_at_once else self._database.write
        ready = [record.task_id for record in records if record.state in READY_STATES]
        if self._statements.store_rings:
            rings = self._watchers.payloads(ready)
            run(lambda session: self._statements.store(session, rows, rings))
        else:
            run(lambda session: self._statements.store(session, rows, ()))
            self._watchers.tell(ready)

    def fetch(self, task_ids: Sequence[str]) -> dict[str, ResultRecord]:
        found: dict[str, ResultRecord] = {}
        for start in range(0, len(task_ids), CHUNK):
            for record in self._fetch(task_ids[start : start + CHUNK], ready=False):
                found[record.task_id] = record
        return found

    def _fetch_ready(self, task_ids: Sequence[str]) -> list[ResultRecord]:
        return self._fetch(task_ids, ready=True)

    def _fetch(self, task_ids: Sequence[str], *, ready: bool) -> list[ResultRecord]:
        rows = self._database.read(lambda session: self._statements.fetch(session, task_ids, ready=ready))
        return [self._codec.record_of(row) for row in rows]

    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        return self._watchers.watch(task_ids, timeout)

    def subscribe(self) -> ResultSubscription:
        return self._watchers.subscribe()

    def forget(self, task_ids: Sequence[str]) -> None:
        for start in range(0, len(task_ids), CHUNK):
            chunk = task_ids[start : start + CHUNK]
            self._database.once(lambda session, chunk=chunk: self._statements.forget(session, chunk))  # type: ignore[misc]  # mypy wants no defaults here

    def close(self) -> None:
        self._watchers.close()
        self._doorbell.close()
        self._database.close()

    def clean_up(self) -> int:
        self._coordination.sweep()
        if not self._expires:
            return 0
        before = naive_utc(datetime.now(timezone.utc) - timedelta(seconds=self._expires))
        self._chords.expire(self._expires)
        self._database.once(lambda session: session.run(self._expire_groups, before=before).rowcount, LONG)
        total = 0
        while True:
            gone = self._database.once(lambda session: self._statements.expire(session, before, EXPIRE_CHUNK), LONG)
            total += gone
            if gone < EXPIRE_CHUNK:
                return total

    # groups

    def save_group(self, group_id: str, result: Any) -> None:
        value = self._serializer.dumps(result)
        moment = naive_utc(datetime.now(timezone.utc))

        def work(session: Session) -> None:
            session.run(self._drop, called=group_id)
            session.run(self._save, called=group_id, value=value, moment=moment)

        self._database.write(work)

    def load_group(self, group_id: str) -> Any | None:
        row = self._database.read(lambda session: session.run(self._load, called=group_id).fetchone())
        return self._codec.loads(row[0], group_id) if row and row[0] is not None else None

    def delete_group(self, group_id: str) -> None:
        self._database.once(lambda session: session.run(self._drop, called=group_id).rowcount)

    # chords

    def open_chord(self, group_id: str, size: int) -> None:
        self._chords.open(group_id, size)

    def enlarge_chord(self, group_id: str, by: int) -> None:
        self._chords.enlarge(group_id, by)

    def add_chord_parts(self, parts: Sequence[ChordPart], *, claimant: str, lease: float) -> list[str]:
        return self._chords.add(parts, claimant, lease)

    def chord_parts(self, group_id: str) -> list[ChordPart]:
        return self._chords.parts(group_id)

    def close_chord(self, group_id: str) -> None:
        self._chords.close(group_id)

    def coordination(self) -> Coordination:
        return self._coordination


def _rings(settings: Any) -> bool:
    """Tell whether processes may be woken; what is said for the broker holds for the results unless they differ."""
    for name in ("result_backend_transport_options", "broker_transport_options"):
        chosen = (settings.get(name) or {}).get("doorbell")
        if chosen is not None:
            return bool(chosen)
    return True


def _seconds(expires: Any) -> float:
    if isinstance(expires, timedelta):
        return expires.total_seconds()
    return float(expires or 0)
