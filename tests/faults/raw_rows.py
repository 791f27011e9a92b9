"""The way around tq into a database: rows written by plain SQL."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import sqlalchemy as sa

from tests.faults.raw_queue import BODY, TASK, UNKNOWN, Parts, RawQueue

#: The drivers tq uses.
_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite"}
_PUT = sa.text(
    "INSERT INTO tq_message (task_id, queue, priority, due, state, delivery_count, orphaned, enqueued_at,"
    " content_type, content_encoding, properties, headers, body)"
    " VALUES (:task_id, :queue, :priority, :due, :state, :delivery_count, :orphaned, :enqueued_at,"
    " :content_type, :content_encoding, :properties, :headers, :body)"
)
_BURIED = sa.text("SELECT task_id, reason FROM tq_dead_letter")


class RawRows(RawQueue):
    """Rows of the message table; parts are its columns, and headers may be given as a mapping.

    Args:
        url: of the database, whose tables exist.
    """

    bad: ClassVar[Mapping[str, Parts]] = {
        "headers that are no JSON": {"headers": "{not json"},
        "headers that are empty": {"headers": ""},
        "headers that are a list": {"headers": "[]"},
        "headers that are a number": {"headers": "5"},
        "headers that are null": {"headers": "null"},
        "headers nested without end": {"headers": "[" * 100_000},
        "headers in Latin-1": {"headers": b'{"task": "caf\xe9"}'},
        "properties that are no JSON": {"properties": "{"},
        "properties that are a list": {"properties": "[1]"},
        "properties whose reply address is a number": {"properties": '{"reply_to": 5}'},
        "a priority in words among the properties": {"properties": '{"priority": "high"}'},
        "properties of properties that are a number": {"properties": '{"properties": 5}'},
        "a body that is a number": {"body": 5},
        "a body that is broken text": {"body": '[["text'},
        "a content type of control characters": {"content_type": "text/\x1b[2J\nforged: line"},
        "a content type in Latin-1": {"content_type": b"caf\xe9/json"},
        "more deliveries than anybody made": {"delivery_count": (1 << 31) - 1},
        "a task name of control characters": {"headers": {"task": "x\x1b[31m\nforged: line", "id": "forger"}},
        "an unknown task": {"headers": {"task": UNKNOWN, "id": "unknown"}},
    }
    odd: ClassVar[Mapping[str, Parts]] = {
        "the lowest priority": {"priority": -32768},
        "the highest priority": {"priority": 32767},
        "a priority in words": {"priority": "high"},
        "deliveries in words": {"delivery_count": "many"},
        "fewer deliveries than none": {"delivery_count": -5},
        "a due time in words": {"due": "soon", "state": 1},
        "due at no time": {"due": math.nan, "state": 1},
        "due at the end of time": {"due": math.inf, "state": 1},
        "sent at the end of time": {"enqueued_at": math.inf},
        "orphaned seven times": {"orphaned": 7},
        "an unknown encoding": {"content_encoding": "utf-99"},
        "a row id in Latin-1": {"task_id": b"caf\xe9"},
        "an id of 150 characters": {"headers": {"task": TASK, "id": "x" * 150}},
        "due in the year 9999": {"headers": {"task": TASK, "id": "odd-eta", "eta": "9999-12-31T23:59:59+00:00"}},
        "expired in the year 1": {"headers": {"task": TASK, "id": "odd-expires", "expires": "0001-01-01T00:00:00"}},
        "a limit of no time": {"headers": {"task": TASK, "id": "odd-limit", "timelimit": [None, 0]}},
        "the id of another": {"headers": {"task": TASK, "id": "bad-0"}},
    }

    def __init__(self, url: str) -> None:
        address = sa.make_url(url)
        self._engine = sa.create_engine(address.set(drivername=_DRIVERS[address.get_backend_name()]))

    def put(self, task_id: str, parts: Parts) -> bool:
        row: dict[str, Any] = {
            "task_id": task_id,
            "queue": "celery",
            "priority": 0,
            "due": None,
            "state": 0,
            "delivery_count": 0,
            "orphaned": 0,
            "enqueued_at": time.time(),
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "properties": None,
            "headers": {"task": TASK, "id": task_id},
            "body": BODY,
            **parts,
        }
        if isinstance(row["headers"], Mapping):
            # Python's own JSON writes what no good sender would: NaN, and halves of surrogate pairs.
            row["headers"] = json.dumps(row["headers"])
        try:
            with self._engine.begin() as connection:
                connection.execute(_PUT, row)
        except (sa.exc.DBAPIError, ValueError):
            return False
        return True

    def buried(self) -> dict[str, str]:
        with self._engine.connect() as connection:
            return {row.task_id: row.reason for row in connection.execute(_BURIED)}

    def close(self) -> None:
        self._engine.dispose()
