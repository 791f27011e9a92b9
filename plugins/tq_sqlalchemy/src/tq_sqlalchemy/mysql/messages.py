"""The hot verbs of the queues: a statement and a round trip for a whole batch.

These servers return no rows from an UPDATE, and cannot skip locked rows in one; but a table derived inside of it can.
So a claim is an UPDATE of what such a table finds, and in the same round trip a SELECT of what was thereby marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import pymysql

from tq_sqlalchemy.database import Database, Session
from tq_sqlalchemy.dialect import Glance, MessageVerbs
from tq_sqlalchemy.envelope import COLUMNS
from tq_sqlalchemy.models import BEGUN, HELD, PARKED, READY
from tq_sqlalchemy.mysql.batches import insertions
from tq_sqlalchemy.mysql.errors import USED_TICKET, number_of
from tq_sqlalchemy.mysql.literals import listed, literal, text
from tq_sqlalchemy.mysql.wire import Wire
from tq_sqlalchemy.server.session import ServerSession

#: Most parked messages made ready at a time.
MOST_RIPENED = 1000

_CLAIMED = (
    b"priority, id, delivery_count, orphaned, task_id, due, content_type, content_encoding, properties, headers, body"
)
_HEAD = f"INSERT INTO tq_message ({', '.join(COLUMNS)}, delivery_count, orphaned) VALUES ".encode()

#: Lets a publication through once: sent again under its number it is an error, and what follows is not run. (The mode
#: is strict, and the column takes no NULL.)
_TICKET = b"""
INSERT INTO tq_publisher (id, number, touched) VALUES ('%s', %d, UNIX_TIMESTAMP(NOW(6)))
ON DUPLICATE KEY UPDATE number = IF(number < VALUES(number), VALUES(number), NULL), touched = VALUES(touched);
"""

# The registration stays locked until the claim is committed: whoever strikes it then sees what was taken.
_CLAIM = b"""
UPDATE tq_message AS taken JOIN (
    SELECT waiting.id FROM tq_message AS waiting FORCE INDEX (tq_message_ready)
    WHERE waiting.state = %(ready)d AND waiting.queue = %(queue)s
    AND EXISTS (SELECT 1 FROM tq_consumer WHERE id = %(fence)d LOCK IN SHARE MODE)
    AND NOT EXISTS (SELECT 1 FROM tq_queue WHERE name = %(queue)s AND paused = 1)
    ORDER BY waiting.priority DESC, waiting.id LIMIT %(limit)d FOR UPDATE SKIP LOCKED
) AS found ON taken.id = found.id
SET taken.state = %(held)d, taken.owner = %(fence)d, taken.turn = %(turn)d,
    taken.delivery_count = LEAST(taken.delivery_count, 1000000000) + 1;
SELECT %(columns)s FROM tq_message WHERE owner = %(fence)d AND turn = %(turn)d ORDER BY priority DESC, id
"""
_BEGIN = b"UPDATE tq_message SET state = %d WHERE id IN (%s) AND owner = %d AND state = %d"
_REQUEUE = b"""
UPDATE tq_message SET state = %d, owner = NULL, turn = NULL, delivery_count = delivery_count - %d
WHERE id IN (%s) AND owner = %d
"""
_RELEASE = b"""
UPDATE tq_message SET state = %d, owner = NULL, turn = NULL, delivery_count = delivery_count - 1
WHERE owner = %d AND turn IN (%s) AND state = %d
"""
_HELD = b"""
SELECT priority, id, delivery_count, IF(state = %d, 1, orphaned), task_id, due,
    content_type, content_encoding, properties, headers, body, queue
FROM tq_message WHERE owner = %d ORDER BY id
"""
_DELETE = b"DELETE FROM tq_message WHERE id IN (%s) AND owner = %d"
_QUEUES = b"SELECT DISTINCT queue FROM tq_message WHERE id IN (%s)"
_GLANCE = b"""
SELECT EXISTS (
    SELECT 1 FROM tq_message FORCE INDEX (tq_message_ready) WHERE state = %d AND queue IN (%s)
    AND queue NOT IN (SELECT name FROM tq_queue WHERE paused = 1)
), (SELECT MIN(due) FROM tq_message FORCE INDEX (tq_message_parked) WHERE state = %d)
"""
_RIPEN = b"""
UPDATE tq_message AS ripened JOIN (
    SELECT parked.id FROM tq_message AS parked FORCE INDEX (tq_message_parked)
    WHERE parked.state = %d AND parked.due <= %s ORDER BY parked.due LIMIT %d FOR UPDATE SKIP LOCKED
) AS found ON ripened.id = found.id SET ripened.state = %d
"""


class MySQLMessages(MessageVerbs):
    """The verbs on ``tq_message``."""

    # However many, they are one transaction.
    rows_at_once: ClassVar[int] = 1_000_000
    ripen_every: ClassVar[float] = 0.05
    breath: ClassVar[float] = 0.002

    def insert(self, session: Session, rows: Sequence[tuple[Any, ...]], rings: Mapping[str, int]) -> None:
        publisher = cast(ServerSession, session)
        wire: Wire = session.raw
        batches = insertions(_HEAD, [_values(row) for row in rows])
        batches[0] = _TICKET % (publisher.publisher.encode(), publisher.number) + batches[0]
        alone = wire.is_idle()
        if alone:
            batches[0] = b"START TRANSACTION; " + batches[0]
            batches[-1] += b"; COMMIT"
        try:
            for batch in batches:
                wire.ask(batch)
        except pymysql.IntegrityError as error:
            if number_of(error) != USED_TICKET:
                raise
            if alone:
                wire.ask(b"ROLLBACK")

    def claim(self, session: Session, queue: str, fence: int, turn: int, limit: int) -> list[tuple[Any, ...]]:
        wire: Wire = session.raw
        values = {b"queue": text(queue), b"fence": fence, b"turn": turn, b"limit": limit, b"columns": _CLAIMED}
        return wire.ask(_CLAIM % (values | {b"ready": READY, b"held": HELD})).fetchall()

    def begin(self, session: Session, fence: int, rows: Sequence[int]) -> None:
        session.raw.ask(_BEGIN % (BEGUN, listed(rows), fence, HELD))

    def delete(self, session: Session, fence: int, rows: Sequence[int]) -> int:
        wire: Wire = session.raw
        return wire.ask(_DELETE % (listed(rows), fence)).rowcount

    def requeue(self, session: Session, fence: int, rows: Sequence[int], *, counted: bool) -> None:
        session.raw.ask(_REQUEUE % (READY, 0 if counted else 1, listed(rows), fence))

    def release(self, session: Session, fence: int, turns: Sequence[int]) -> None:
        session.raw.ask(_RELEASE % (READY, fence, listed(turns), HELD))

    def held(self, session: Session, fence: int) -> list[tuple[Any, ...]]:
        wire: Wire = session.raw
        return wire.ask(_HELD % (BEGUN, fence)).fetchall()

    def glance(self, session: Session, queues: Sequence[str]) -> Glance:
        ready, due = session.raw.ask(_GLANCE % (READY, listed(queues), PARKED)).fetchone()
        return Glance(None, bool(ready), due)

    def version(self, session: Session) -> int | None:
        return None

    def ripen(self, database: Database, now: float) -> None:
        # Where nothing is due this writes nothing and locks nothing.
        statement = _RIPEN % (PARKED, literal(now), MOST_RIPENED, READY)
        database.once(lambda session: session.raw.ask(statement))

    def queues_of(self, session: Session, rows: Sequence[int]) -> list[str]:
        return [queue for (queue,) in session.raw.ask(_QUEUES % listed(rows)).fetchall()]


def _values(row: Sequence[Any]) -> bytes:
    return b"(" + b",".join([literal(value) for value in row]) + b",0,0)"
