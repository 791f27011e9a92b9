"""The hot verbs of the queues, each one statement for a whole batch.

Python's driver gives the GIL away at every step of a statement, and a busy task thread may keep it for
milliseconds. So a batch must not be a step per row: rows go in as one multi-row INSERT, ids as one JSON
array, and a large claim comes back as a single text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from tq_sqlalchemy.database import Database, Session
from tq_sqlalchemy.dialect import Glance, MessageVerbs
from tq_sqlalchemy.envelope import COLUMNS
from tq_sqlalchemy.models import BEGUN, HELD, PARKED, READY

#: Most rows of one INSERT; batches are cut into powers of two, so that few statements need be prepared.
LARGEST_INSERT = 128

#: Up to this many rows a step per row is cheaper than packing and unpacking them.
ROWS_BY_STEP = 12

#: Most parked messages made ready at a time.
MOST_RIPENED = 1000

#: Bodies of more bytes than these together are read one by one: packing takes several times their memory.
HEAVIEST_PACK = 1 << 20

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

#: SQLite keeps whatever is put into a column, and not only tq puts rows there: a word where a number belongs is 0.
_NUMBERS = "CAST(priority AS INTEGER), id, CAST(delivery_count AS INTEGER), CAST(orphaned AS INTEGER)"

#: The columns of a claimed row, in the order :meth:`~SQLiteMessages.claim` returns them.
_CLAIMED = f"{_NUMBERS}, task_id, CAST(due AS REAL), content_type, content_encoding, properties, headers, body"

_CLAIM_ROWS = f"{_CLAIM} RETURNING {_CLAIMED}"

_PACKED = f"""
SELECT group_concat({_NUMBERS.replace(",", " || ' ' ||")} || ' ' || hex(task_id)
    || ' ' || ifnull(CAST(due AS REAL), '')
    || ' ' || CASE WHEN content_type = 'application/json' AND content_encoding = 'utf-8'
        THEN '' ELSE hex(content_type) || '/' || hex(content_encoding) END
    || ' ' || ifnull(hex(properties), '') || ' ' || hex(headers) || ' ' || hex(body), char(10))
FROM tq_message WHERE owner = ? AND turn = ?
"""

_TAKEN = f"SELECT {_CLAIMED} FROM tq_message WHERE owner = ? AND turn = ?"
_WEIGHT = "SELECT total(length(body)) FROM tq_message WHERE owner = ? AND turn = ?"
_BEGIN = f"UPDATE tq_message SET state = {BEGUN} WHERE {_HELD_BY} AND state = {HELD}"
_REQUEUE = f"""
UPDATE tq_message SET state = {READY}, owner = NULL, turn = NULL, delivery_count = delivery_count - ?
WHERE {_HELD_BY}
"""
_RELEASE = f"""
UPDATE tq_message SET state = {READY}, owner = NULL, turn = NULL, delivery_count = delivery_count - 1
WHERE owner = ? AND state = {HELD} AND turn IN (SELECT value FROM json_each(?))
"""
_HELD = f"""
SELECT priority, id, delivery_count, orphaned OR state = {BEGUN}, task_id, due,
    content_type, content_encoding, properties, headers, body, queue
FROM tq_message WHERE owner = ? ORDER BY id
"""
_QUEUES = "SELECT DISTINCT queue FROM tq_message WHERE id IN (SELECT value FROM json_each(?))"
_ACK_ONE = "DELETE FROM tq_message WHERE id = ? AND +owner = ?"
_ACK = f"DELETE FROM tq_message WHERE {_HELD_BY}"
_ANY_READY = f"SELECT 1 FROM tq_message WHERE state = {READY} AND queue = ? LIMIT 1"
#: Words are greater than every number here; such a row is never due.
_NEXT_DUE = f"SELECT due FROM tq_message WHERE state = {PARKED} AND due <= 9e999 ORDER BY due LIMIT 1"
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


class SQLiteMessages(MessageVerbs):
    """The verbs on ``tq_message``."""

    rows_at_once: ClassVar[int] = 1
    ripen_every: ClassVar[float] = 0.005

    def insert(self, session: Session, rows: Sequence[tuple[Any, ...]], rings: Mapping[str, int]) -> None:
        raw: sqlite3.Connection = session.raw
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

    def claim(self, session: Session, queue: str, fence: int, turn: int, limit: int) -> list[tuple[Any, ...]]:
        raw: sqlite3.Connection = session.raw
        if limit <= ROWS_BY_STEP:
            rows = raw.execute(_CLAIM_ROWS, (fence, turn, queue, limit)).fetchall()
        else:
            if not raw.execute(_CLAIM, (fence, turn, queue, limit)).rowcount:
                return []
            rows = self._taken(raw, fence, turn)
        if len(rows) > 1:
            rows.sort(key=_urgency)
        return rows

    def _taken(self, raw: sqlite3.Connection, fence: int, turn: int) -> list[tuple[Any, ...]]:
        """Read what a claim took."""
        (weight,) = raw.execute(_WEIGHT, (fence, turn)).fetchone()
        if weight > HEAVIEST_PACK:
            return raw.execute(_TAKEN, (fence, turn)).fetchall()
        (packed,) = raw.execute(_PACKED, (fence, turn)).fetchone()
        return [_unpack(line) for line in packed.split("\n")]

    def begin(self, session: Session, fence: int, rows: Sequence[int]) -> None:
        session.raw.execute(_BEGIN, (fence, id_list(rows)))

    def delete(self, session: Session, fence: int, rows: Sequence[int]) -> int:
        raw: sqlite3.Connection = session.raw
        if len(rows) == 1:
            return raw.execute(_ACK_ONE, (rows[0], fence)).rowcount
        return raw.execute(_ACK, (fence, id_list(rows))).rowcount

    def requeue(self, session: Session, fence: int, rows: Sequence[int], *, counted: bool) -> None:
        session.raw.execute(_REQUEUE, (0 if counted else 1, fence, id_list(rows)))

    def release(self, session: Session, fence: int, turns: Sequence[int]) -> None:
        session.raw.execute(_RELEASE, (fence, id_list(turns)))

    def held(self, session: Session, fence: int) -> list[tuple[Any, ...]]:
        raw: sqlite3.Connection = session.raw
        return raw.execute(_HELD, (fence,)).fetchall()

    def glance(self, session: Session, queues: Sequence[str]) -> Glance:
        raw: sqlite3.Connection = session.raw
        # The version first: what is committed after it is seen by the next look.
        version = self.version(session)
        ready = any(raw.execute(_ANY_READY, (queue,)).fetchone() for queue in queues)
        return Glance(version, ready, _next_due(raw))

    def version(self, session: Session) -> int:
        version: int = session.raw.execute("PRAGMA data_version").fetchone()[0]
        return version

    def ripen(self, database: Database, now: float) -> None:
        # Looking takes no lock; writing would make others wait.
        due = database.read(lambda session: _next_due(session.raw))
        if due is not None and due <= now:
            database.once(lambda session: session.raw.execute(_RIPEN, (now, MOST_RIPENED)))

    def queues_of(self, session: Session, rows: Sequence[int]) -> list[str]:
        return [queue for (queue,) in session.raw.execute(_QUEUES, (id_list(rows),)).fetchall()]


def _next_due(raw: sqlite3.Connection) -> float | None:
    row = raw.execute(_NEXT_DUE).fetchone()
    return row[0] if row else None


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


def id_list(ids: Iterable[int]) -> str:
    """Write ids as the JSON array that ``json_each`` reads."""
    return f"[{','.join(map(str, ids))}]"
