"""The hot verbs of the queues, each one statement for a whole batch.

Python's driver gives the GIL away at every step of a statement, and a busy task thread may keep it for
milliseconds. So a batch must not be a step per row: rows go in as one multi-row INSERT, ids as one JSON
array, and a large claim comes back as a single text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from tq_sqlalchemy.envelope import COLUMNS
from tq_sqlalchemy.models import HELD, PARKED, READY

#: Most rows of one INSERT; batches are cut into powers of two, so that few statements need be prepared.
LARGEST_INSERT = 128

#: Up to this many rows a step per row is cheaper than packing and unpacking them.
ROWS_BY_STEP = 12

_COLUMNS = ", ".join(COLUMNS)
_PLACES = f"({', '.join('?' * len(COLUMNS))}, 0, 0)"

#: ``+`` keeps the planner from scanning everything the owner holds instead of going by id.
_HELD_BY = "+owner = ? AND id IN (SELECT value FROM json_each(?))"

_CLAIM = f"""
UPDATE tq_message SET state = {HELD}, owner = ?1, turn = ?2, delivery_count = delivery_count + 1
WHERE id IN (
    SELECT id FROM tq_message WHERE state = {READY} AND queue = ?3
    AND EXISTS (SELECT 1 FROM tq_consumer WHERE id = ?1)
    AND NOT EXISTS (SELECT 1 FROM tq_queue WHERE name = ?3 AND paused = 1)
    ORDER BY priority DESC, id LIMIT ?4)
"""

#: The columns of a claimed row, in the order :func:`claim` returns them.
_CLAIMED = (
    "priority, id, delivery_count, orphaned, task_id, due, content_type, content_encoding, properties, headers, body"
)

_CLAIM_ROWS = f"{_CLAIM} RETURNING {_CLAIMED}"

_PACKED = """
SELECT group_concat(priority || ' ' || id || ' ' || delivery_count || ' ' || orphaned || ' ' || hex(task_id)
    || ' ' || ifnull(due, '')
    || ' ' || CASE WHEN content_type = 'application/json' AND content_encoding = 'utf-8'
        THEN '' ELSE hex(content_type) || '/' || hex(content_encoding) END
    || ' ' || ifnull(hex(properties), '') || ' ' || hex(headers) || ' ' || hex(body), char(10))
FROM tq_message WHERE owner = ? AND turn = ?
"""

_ACK_ONE = "DELETE FROM tq_message WHERE id = ? AND +owner = ?"
_ACK = f"DELETE FROM tq_message WHERE {_HELD_BY}"
_ANY_READY = f"SELECT 1 FROM tq_message WHERE state = {READY} AND queue = ? LIMIT 1"
_NEXT_DUE = f"SELECT due FROM tq_message WHERE state = {PARKED} ORDER BY due LIMIT 1"
_RIPEN = f"""
UPDATE tq_message SET state = {READY} WHERE id IN (
    SELECT id FROM tq_message WHERE state = {PARKED} AND due <= ? ORDER BY due LIMIT ?)
"""


@lru_cache(maxsize=16)
def _insert(rows: int) -> str:
    return f"INSERT INTO tq_message ({_COLUMNS}, delivery_count, orphaned) VALUES {', '.join([_PLACES] * rows)}"


def pieces(count: int, largest: int = LARGEST_INSERT) -> list[int]:
    """Cut ``count`` into powers of two up to ``largest``, big ones first."""
    sizes = [largest] * (count // largest)
    rest, size = count % largest, largest // 2
    while rest:
        if rest >= size:
            sizes.append(size)
            rest -= size
        size //= 2
    return sizes


def insert_messages(raw: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows made by :func:`~tq_sqlalchemy.envelope.row_of`; more than one need a transaction."""
    if len(rows) == 1:
        raw.execute(_insert(1), rows[0])
        return
    start = 0
    for size in pieces(len(rows)):
        values: list[Any] = []
        for row in rows[start : start + size]:
            values += row
        raw.execute(_insert(size), values)
        start += size


def claim(raw: sqlite3.Connection, queue: str, fence: int, turn: int, limit: int) -> list[tuple[Any, ...]]:
    """Take up to ``limit`` ready rows of ``queue`` for ``fence``, the most urgent first.

    Takes nothing for a fence that is no longer registered, nor from a paused queue.

    Args:
        raw: in autocommit mode; the claim is its own transaction.
        queue: name.
        fence: the owner.
        turn: a number this owner has not used before.
        limit: most rows.
    """
    if limit <= ROWS_BY_STEP:
        rows = raw.execute(_CLAIM_ROWS, (fence, turn, queue, limit)).fetchall()
    else:
        if not raw.execute(_CLAIM, (fence, turn, queue, limit)).rowcount:
            return []
        (packed,) = raw.execute(_PACKED, (fence, turn)).fetchone()
        rows = [_unpack(line) for line in packed.split("\n")]
    if len(rows) > 1:
        rows.sort(key=_urgency)
    return rows


def _urgency(row: tuple[Any, ...]) -> tuple[int, int]:
    return (-row[0], row[1])


def _unpack(line: str) -> tuple[Any, ...]:
    priority, row_id, count, orphaned, task_id, due, content, properties, headers, body = line.split(" ")
    if content:
        kind, _, encoding = content.partition("/")
        content_type, content_encoding = _text(kind), _text(encoding)
    else:
        content_type, content_encoding = "application/json", "utf-8"
    return (
        int(priority),
        int(row_id),
        int(count),
        int(orphaned),
        _text(task_id),
        float(due) if due else None,
        content_type,
        content_encoding,
        bytes.fromhex(properties) if properties else None,
        bytes.fromhex(headers),
        bytes.fromhex(body),
    )


def _text(digits: str) -> str:
    return bytes.fromhex(digits).decode("utf-8", "replace")


def delete_held(raw: sqlite3.Connection, fence: int, ids: Sequence[int]) -> int:
    """Delete what ``fence`` still holds of ``ids``; return how many rows that were."""
    if len(ids) == 1:
        return raw.execute(_ACK_ONE, (ids[0], fence)).rowcount
    return raw.execute(_ACK, (fence, id_list(ids))).rowcount


def id_list(ids: Iterable[int]) -> str:
    """Write ids as the JSON array that ``json_each`` reads."""
    return f"[{','.join(map(str, ids))}]"


def any_ready(raw: sqlite3.Connection, queues: Iterable[str]) -> bool:
    """True when one of ``queues`` has a ready message; takes no lock."""
    return any(raw.execute(_ANY_READY, (queue,)).fetchone() for queue in queues)


def next_due(raw: sqlite3.Connection) -> float | None:
    """Return the earliest due time of any parked message (Unix time), or None."""
    row = raw.execute(_NEXT_DUE).fetchone()
    return row[0] if row else None


def ripen(raw: sqlite3.Connection, now: float, limit: int = 1000) -> int:
    """Make up to ``limit`` parked messages whose time has come ready; return how many."""
    return raw.execute(_RIPEN, (now, limit)).rowcount


def data_version(raw: sqlite3.Connection) -> int:
    """Return a number that changes whenever another connection has committed."""
    version: int = raw.execute("PRAGMA data_version").fetchone()[0]
    return version
