"""The buried: kept with their reason, listed, put back, bounded in age and number."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from tq_core.contracts.broker import DeadLetter
from tq_core.message import Message
from tq_sqlalchemy.database import LONG, ONCE, Database, Session
from tq_sqlalchemy.envelope import message_of, raw_of, row_of
from tq_sqlalchemy.models import READY, dead_letter, message
from tq_sqlalchemy.options import TransportOptions

#: The columns a letter and a message share under one name.
_SHARED = (
    "task_id",
    "queue",
    "priority",
    "content_type",
    "content_encoding",
    "properties",
    "headers",
    "body",
)

#: Letters read at a time while iterating.
_PAGE = 200

_BURY_ROW = sa.insert(dead_letter).from_select(
    [*_SHARED, "delivery_count", "reason", "traceback", "buried_at"],
    sa.select(
        *(message.c[name] for name in _SHARED),
        message.c.delivery_count,
        sa.bindparam("reason", type_=sa.Text),
        sa.bindparam("traceback", type_=sa.Text),
        sa.bindparam("buried_at", type_=sa.Double),
    ).where(message.c.id == sa.bindparam("row")),
)
_BURY = sa.insert(dead_letter).values(
    {name: sa.bindparam(name) for name in (*_SHARED, "delivery_count", "reason", "traceback", "buried_at")}
)
_NEWEST = sa.select(sa.func.max(dead_letter.c.id))
_EXPIRE = sa.delete(dead_letter).where(
    sa.or_(dead_letter.c.buried_at < sa.bindparam("before"), dead_letter.c.id <= sa.bindparam("oldest"))
)
_LETTER = sa.select(
    dead_letter.c.id,
    *(dead_letter.c[name] for name in _SHARED),
    dead_letter.c.reason,
    dead_letter.c.buried_at,
    dead_letter.c.traceback,
    dead_letter.c.delivery_count,
)
_ONE = _LETTER.where(dead_letter.c.id == sa.bindparam("letter"))
_PAGE_ALL = (
    _LETTER.where(dead_letter.c.id < sa.bindparam("below"))
    .order_by(dead_letter.c.id.desc())
    .limit(sa.bindparam("page"))
)
_PAGE_QUEUE = _PAGE_ALL.where(dead_letter.c.queue == sa.bindparam("queue"))

_HERE: sa.BindParameter[int] = sa.bindparam("letter")
_QUEUE_OF = sa.select(dead_letter.c.queue).where(dead_letter.c.id == _HERE)
_EXHUME = sa.insert(message).from_select(
    [*_SHARED, "state", "delivery_count", "orphaned", "enqueued_at"],
    sa.select(
        *(dead_letter.c[name] for name in _SHARED),
        sa.literal_column(str(READY)),
        sa.literal_column("0"),
        sa.literal_column("0"),
        sa.bindparam("now", type_=sa.Double),
    ).where(dead_letter.c.id == _HERE),
)
_DROP = sa.delete(dead_letter).where(dead_letter.c.id == _HERE)


class Cemetery:
    """The dead letters of one database. Any thread.

    Args:
        database: where they are.
        options: how many are kept, and for how long.
    """

    def __init__(self, database: Database, options: TransportOptions) -> None:
        self._database = database
        self._options = options

    def bury_row(self, session: Session, row: int, reason: str, traceback: str | None) -> None:
        """Copy a message's row to the dead letters; the caller's transaction deletes it."""
        session.run(_BURY_ROW, row=row, reason=reason, traceback=traceback, buried_at=time.time())
        self._expire(session)

    def bury(self, queue: str, buried: Message, reason: str, traceback: str | None) -> str:
        """Bury a message nobody holds; return the letter's id."""
        now = time.time()
        task_id, _, priority, _, _, _, content_type, content_encoding, properties, headers, body = row_of(buried, now)

        def work(session: Session) -> str:
            letter = session.insert(
                _BURY,
                task_id=task_id,
                queue=queue,
                priority=priority,
                content_type=content_type,
                content_encoding=content_encoding,
                properties=properties,
                headers=headers,
                body=body,
                delivery_count=0,
                reason=reason,
                traceback=traceback,
                buried_at=now,
            )
            self._expire(session)
            return str(letter)

        return self._database.write(work, ONCE)

    def _expire(self, session: Session) -> None:
        newest = session.run(_NEWEST).fetchone()[0] or 0
        session.run(
            _EXPIRE,
            before=time.time() - self._options.dead_letter_expires,
            oldest=newest - self._options.dead_letter_limit,
        )

    def letters(self, queue: str | None, limit: int) -> Iterator[DeadLetter]:
        """Iterate over letters, newest first, a page at a time."""
        below = 1 << 62
        while limit > 0:
            page = min(_PAGE, limit)
            rows = self._page(queue, below, page)
            for row in rows:
                yield _letter_of(row)
            if len(rows) < page:
                return
            below, limit = rows[-1][0], limit - len(rows)

    def _page(self, queue: str | None, below: int, page: int) -> list[Any]:
        if queue is None:
            return self._database.read(lambda session: session.run(_PAGE_ALL, below=below, page=page).fetchall())
        return self._database.read(
            lambda session: session.run(_PAGE_QUEUE, below=below, page=page, queue=queue).fetchall()
        )

    def letter(self, letter_id: str) -> DeadLetter | None:
        """Return one letter, or None."""
        ids = _ids([letter_id])
        if not ids:
            return None
        row = self._database.read(lambda session: session.run(_ONE, letter=ids[0]).fetchone())
        return _letter_of(row) if row else None

    def exhume(self, letter_ids: Sequence[str]) -> dict[str, int]:
        """Put letters back into their queues; return how many by queue."""
        ids = sorted(set(_ids(letter_ids)))

        def work(session: Session) -> dict[str, int]:
            now = time.time()
            found: dict[str, int] = {}
            for letter in ids:
                row = session.run(_QUEUE_OF, letter=letter).fetchone()
                if row is not None:
                    found[row[0]] = found.get(row[0], 0) + 1
            session.run_many(_EXHUME, [{"letter": letter, "now": now} for letter in ids])
            session.run_many(_DROP, [{"letter": letter} for letter in ids])
            return found

        return self._database.write(work, LONG)

    def drop(self, letter_ids: Sequence[str]) -> int:
        """Delete letters; return how many there were."""
        ids = _ids(letter_ids)
        return self._database.write(
            lambda session: session.run_many(_DROP, [{"letter": letter} for letter in ids]), LONG
        )


def _ids(letter_ids: Sequence[str]) -> list[int]:
    return [int(letter_id) for letter_id in letter_ids if letter_id.isdecimal() and len(letter_id) < 19]


def _letter_of(row: Sequence[Any]) -> DeadLetter:
    letter, task_id, queue, _, kind, encoding, properties, headers, body, reason, at, traceback, count = row
    try:
        read: Message | None = message_of(task_id, queue, None, kind, encoding, properties, headers, body)
        raw = b""
    except ValueError:
        read, raw = None, raw_of(headers, body)
    return DeadLetter(str(letter), queue, read, reason, at, traceback, raw, count)
