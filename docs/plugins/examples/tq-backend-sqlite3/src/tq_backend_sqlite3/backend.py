"""The backend itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tq_core.contracts.backend import Backend, BackendRequest, ChordPart, ResultRecord
from tq_core.errors import BackendError, DecodeError, ImproperlyConfigured, TimeoutError
from tq_core.protocol.result import from_meta, to_meta
from tq_core.states import READY_STATES

from tq_backend_sqlite3 import chords
from tq_backend_sqlite3.database import Database
from tq_backend_sqlite3.plugin import CAPABILITIES

#: Ids asked for in one statement; SQLite allows some hundred variables at least.
_CHUNK = 500
#: Seconds that a call may wait for other writers.
_TIMEOUT = 5.0

_STORE = """
insert into results values (?, ?, ?, ?) on conflict (task_id) do update
set state = excluded.state, document = excluded.document, expires = excluded.expires
where state <> 'SUCCESS'
"""


class SQLiteBackend(Backend):
    """The backend of ``sqlite3:///file`` URLs.

    Args:
        request: ``result_expires`` (seconds, or a timedelta) is read from its settings.

    Raises:
        ImproperlyConfigured: the URL names no file.
    """

    capabilities = CAPABILITIES

    def __init__(self, request: BackendRequest) -> None:
        parts = urlsplit(request.url)
        if parts.netloc or not parts.path.strip("/"):
            raise ImproperlyConfigured(
                "a result backend URL of the sqlite3 plugin has three slashes and a path, like sqlite3:///var/shop.db"
            )
        self._database = Database(Path(unquote(parts.path)), _TIMEOUT)
        self._serializer = request.serializer
        lifetime = request.settings.get("result_expires")
        self._lifetime = lifetime.total_seconds() if isinstance(lifetime, timedelta) else lifetime

    def _expires(self) -> float | None:
        """Return when what is written now expires, as Unix time in seconds; None for never."""
        return time.time() + float(self._lifetime) if self._lifetime else None

    def _read(self, data: bytes) -> Any:
        try:
            return self._serializer.loads(data)
        except DecodeError as error:
            raise BackendError(
                f"what {str(self._database.path)!r} holds is not {self._serializer.name}: {error}."
                " Was it written with another `result_serializer`?"
            ) from error

    def connect(self, timeout: float) -> None:
        """Make sure that the file can be opened and written to."""
        with self._database.writing():
            pass

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # --- records

    def store(self, records: Sequence[ResultRecord]) -> None:
        """Write records in one transaction; all are serialized before it begins."""
        expires = self._expires()
        rows = [(r.task_id, r.state, self._serializer.dumps(to_meta(r)), expires) for r in records]
        if rows:
            with self._database.writing() as connection:
                connection.executemany(_STORE, rows)

    def fetch(self, task_ids: Sequence[str]) -> dict[str, ResultRecord]:
        """Return the records there are."""
        found = {}
        for start in range(0, len(task_ids), _CHUNK):
            for document in self._documents(task_ids[start : start + _CHUNK]):
                record = from_meta(self._read(document))
                found[record.task_id] = record
        return found

    def _documents(self, task_ids: Sequence[str]) -> list[bytes]:
        marks = ",".join("?" * len(task_ids))
        query = f"select document from results where task_id in ({marks}) and (expires is null or expires > ?)"
        with self._database.reading() as connection:
            return [document for (document,) in connection.execute(query, (*task_ids, time.time()))]

    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        """Yield records as they become ready, looking every ``interval`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pending = dict.fromkeys(task_ids)
        pause = threading.Event()
        while pending:
            for task_id, record in self.fetch(list(pending)).items():
                if record.state in READY_STATES:
                    del pending[task_id]
                    yield record
            if not pending:
                return
            left = interval if deadline is None else min(interval, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"{len(pending)} results are not ready after {timeout:g} s")
            pause.wait(left)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete records."""
        with self._database.writing() as connection:
            connection.executemany("delete from results where task_id = ?", [(task_id,) for task_id in task_ids])

    def clean_up(self) -> int:
        """Delete what has expired."""
        now = (time.time(),)
        parts = "delete from parts where group_id in (select group_id from chords where expires <= ?)"
        others = [f"delete from {table} where expires <= ?" for table in ("results", "groups", "chords")]
        with self._database.writing() as connection:
            connection.execute(parts, now)
            return sum(connection.execute(statement, now).rowcount for statement in others)

    # --- groups

    def save_group(self, group_id: str, result: Any) -> None:
        """Keep a group's result tuple."""
        row = (group_id, self._serializer.dumps(result), self._expires())
        with self._database.writing() as connection:
            connection.execute("insert or replace into groups values (?, ?, ?)", row)

    def load_group(self, group_id: str) -> Any | None:
        """Return the tuple kept by :meth:`save_group`, or None."""
        query = "select document from groups where group_id = ? and (expires is null or expires > ?)"
        with self._database.reading() as connection:
            row = connection.execute(query, (group_id, time.time())).fetchone()
        return None if row is None else self._read(row[0])

    def delete_group(self, group_id: str) -> None:
        """Forget a saved group."""
        with self._database.writing() as connection:
            connection.execute("delete from groups where group_id = ?", (group_id,))

    # --- chords

    def open_chord(self, group_id: str, size: int) -> None:
        """Say how many parts a chord waits for."""
        with self._database.writing() as connection:
            chords.set_size(connection, group_id, size, self._expires())

    def enlarge_chord(self, group_id: str, by: int) -> None:
        """Let a chord wait for more parts."""
        with self._database.writing() as connection:
            chords.enlarge(connection, group_id, by)

    def add_chord_parts(self, parts: Sequence[ChordPart], *, claimant: str, lease: float) -> list[str]:
        """Record parts and claim what they complete, in one transaction: so that one claimant gets each chord."""
        rows = [
            (p.group_id, p.task_id, p.index, self._serializer.dumps([p.index, p.task_id, p.state, p.result]))
            for p in parts
        ]
        with self._database.writing() as connection:
            chords.add(connection, rows, self._expires())
            return chords.claim(connection, [p.group_id for p in parts], claimant, lease)

    def chord_parts(self, group_id: str) -> list[ChordPart]:
        """Return the parts recorded, by index."""
        with self._database.reading() as connection:
            rows = chords.documents(connection, group_id)
        return [ChordPart(group_id, *self._read(document)) for (document,) in rows]

    def close_chord(self, group_id: str) -> None:
        """Drop the parts, and remember that the body was sent."""
        with self._database.writing() as connection:
            chords.close(connection, group_id, self._expires())
