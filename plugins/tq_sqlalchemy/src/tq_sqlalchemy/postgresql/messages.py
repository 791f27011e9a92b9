"""The hot verbs of the queues: each one round trip for a whole batch, prepared once a connection.

A claim skips what others are taking. It leaves its commit to the server's next write to disk: were the server to
crash right then, the message would be ready again, as if it had not been claimed. Everything else is on disk when
the call returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from tq_sqlalchemy.database import Database, Session
from tq_sqlalchemy.dialect import Glance, MessageVerbs
from tq_sqlalchemy.envelope import COLUMNS
from tq_sqlalchemy.models import BEGUN, HELD, PARKED, READY
from tq_sqlalchemy.postgresql.ringing import ringing, topic
from tq_sqlalchemy.server.session import ServerSession
from tq_sqlalchemy.waking import RING

#: Most parked messages made ready at a time.
MOST_RIPENED = 1000

_TYPES = {
    "task_id": "text",
    "queue": "text",
    "priority": "int2",
    "due": "float8",
    "state": "int2",
    "enqueued_at": "float8",
    "content_type": "text",
    "content_encoding": "text",
    "properties": "text",
    "headers": "text",
    "body": "bytea",
}
_INTO = f"INSERT INTO tq_message ({', '.join(COLUMNS)}, delivery_count, orphaned)"

#: Lets a publication through once: sent again under its number, it brings no row.
_TICKET = """
WITH ticket AS (
    INSERT INTO tq_publisher AS known (id, number, touched)
    VALUES (%s, %s, extract(epoch FROM now()))
    ON CONFLICT (id) DO UPDATE SET number = excluded.number, touched = excluded.touched
    WHERE known.number < excluded.number
    RETURNING 1)
"""
_INSERT_ONE = f"""{_TICKET},
added AS ({_INTO}
    SELECT {", ".join(f"%b::{_TYPES[name]}" for name in COLUMNS)}, 0, 0 FROM ticket)
"""
_INSERT = f"""{_TICKET},
added AS ({_INTO}
    SELECT {", ".join(f"fresh.{name}" for name in COLUMNS)}, 0, 0
    FROM ticket, unnest({", ".join(f"%b::{_TYPES[name]}[]" for name in COLUMNS)})
        WITH ORDINALITY AS fresh ({", ".join(COLUMNS)}, place)
    ORDER BY place)
"""
_RING_ONE = f"""
SELECT {ringing("number", "%b::int8", f"'{RING.decode()}'")}
FROM (SELECT {topic("'consumers'", "%b::text")} AS number OFFSET 0) AS topic
"""
_RING = f"""
SELECT {ringing("number", "most", f"'{RING.decode()}'")}
FROM (SELECT {topic("'consumers'", "name")} AS number, most
    FROM unnest(%b::text[], %b::int8[]) AS rung (name, most) OFFSET 0) AS topic
"""

_CLAIMED = (
    "priority, id, delivery_count, orphaned, task_id, due, content_type, content_encoding, properties, headers, body"
)
#: Counting stops here: one row at the end of the column's range must not make every claim of its queue fail.
MOST_DELIVERIES = 1_000_000_000
_QUIETLY = "set_config('synchronous_commit', 'off', true)"

#: The registration is locked while there is something to claim, so that whoever strikes it waits for this claim and
#: then sees what it took.
_CLAIM = f"""
WITH picked AS MATERIALIZED (
    SELECT id FROM tq_message
    WHERE state = {READY} AND queue = %(queue)s
    AND NOT EXISTS (SELECT FROM tq_queue WHERE name = %(queue)s AND paused = 1)
    ORDER BY priority DESC, id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED),
alive AS MATERIALIZED (
    SELECT id, {_QUIETLY} FROM tq_consumer
    WHERE id = %(fence)s AND EXISTS (SELECT FROM picked)
    FOR KEY SHARE)
UPDATE tq_message SET state = {HELD}, owner = %(fence)s, turn = %(turn)s,
    delivery_count = least(delivery_count, {MOST_DELIVERIES}) + 1
WHERE id = ANY (ARRAY(SELECT id FROM picked)) AND EXISTS (SELECT FROM alive)
RETURNING {_CLAIMED}
"""
_BEGIN = f"UPDATE tq_message SET state = {BEGUN} WHERE owner = %s AND state = {HELD} AND id = ANY (%s)"
_DELETE_ONE = "DELETE FROM tq_message WHERE owner = %s AND id = %s"
_DELETE = "DELETE FROM tq_message WHERE owner = %s AND id = ANY (%s)"
_REQUEUE = f"""
UPDATE tq_message SET state = {READY}, owner = NULL, turn = NULL, delivery_count = delivery_count - %s
WHERE owner = %s AND id = ANY (%s)
"""
_RELEASE = f"""
UPDATE tq_message SET state = {READY}, owner = NULL, turn = NULL, delivery_count = delivery_count - 1
WHERE owner = %s AND state = {HELD} AND turn = ANY (%s)
"""
_HELD = f"""
SELECT priority, id, delivery_count, greatest(orphaned, (state = {BEGUN})::int), task_id, due,
    content_type, content_encoding, properties, headers, body, queue
FROM tq_message WHERE owner = %s ORDER BY id
"""
_GLANCE = f"""
SELECT EXISTS (SELECT FROM tq_message WHERE state = {READY} AND queue = ANY (%s)),
    (SELECT due FROM tq_message WHERE state = {PARKED} ORDER BY due LIMIT 1)
"""
_RIPEN = f"""
UPDATE tq_message SET state = {READY} WHERE id = ANY (ARRAY(
    SELECT id FROM tq_message WHERE state = {PARKED} AND due <= %s ORDER BY due LIMIT {MOST_RIPENED}
    FOR UPDATE SKIP LOCKED))
"""
_QUEUES = "SELECT DISTINCT queue FROM tq_message WHERE id = ANY (%s)"


class PostgresMessages(MessageVerbs):
    """The verbs on ``tq_message``."""

    rows_at_once: ClassVar[int] = 5000
    insert_rings: ClassVar[bool] = True
    ripen_every: ClassVar[float] = 0.02
    breath: ClassVar[float] = 0.002

    def insert(self, session: Session, rows: Sequence[tuple[Any, ...]], rings: Mapping[str, int]) -> None:
        publisher = cast(ServerSession, session)
        ticket = (publisher.publisher, publisher.number)
        if len(rows) == 1:
            ((queue, count),) = rings.items()
            session.raw.execute(_INSERT_ONE + _RING_ONE, (*ticket, *rows[0], count, queue))
        else:
            columns = map(list, zip(*rows, strict=True))
            session.raw.execute(_INSERT + _RING, (*ticket, *columns, list(rings), list(rings.values())))

    def claim(self, session: Session, queue: str, fence: int, turn: int, limit: int) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = session.raw.execute(
            _CLAIM, {"queue": queue, "fence": fence, "turn": turn, "limit": limit}, binary=True
        ).fetchall()
        if len(rows) > 1:
            rows.sort(key=_urgency)
        return rows

    def begin(self, session: Session, fence: int, rows: Sequence[int]) -> None:
        session.raw.execute(_BEGIN, (fence, list(rows)))

    def delete(self, session: Session, fence: int, rows: Sequence[int]) -> int:
        if len(rows) == 1:
            return int(session.raw.execute(_DELETE_ONE, (fence, rows[0])).rowcount)
        return int(session.raw.execute(_DELETE, (fence, list(rows))).rowcount)

    def requeue(self, session: Session, fence: int, rows: Sequence[int], *, counted: bool) -> None:
        session.raw.execute(_REQUEUE, (0 if counted else 1, fence, list(rows)))

    def release(self, session: Session, fence: int, turns: Sequence[int]) -> None:
        session.raw.execute(_RELEASE, (fence, list(turns)))

    def held(self, session: Session, fence: int) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = session.raw.execute(_HELD, (fence,), binary=True).fetchall()
        return rows

    def glance(self, session: Session, queues: Sequence[str]) -> Glance:
        ready, due = session.raw.execute(_GLANCE, (list(queues),)).fetchone()
        return Glance(None, ready, due)

    def version(self, session: Session) -> None:
        return None

    def ripen(self, database: Database, now: float) -> None:
        database.once(lambda session: session.raw.execute(_RIPEN, (now,)))

    def queues_of(self, session: Session, rows: Sequence[int]) -> list[str]:
        return [queue for (queue,) in session.raw.execute(_QUEUES, (list(rows),)).fetchall()]


def _urgency(row: tuple[Any, ...]) -> tuple[int, int]:
    return (-row[0], row[1])
