"""Broadcasts: a short ring of payloads by channel that every listener reads at its own pace."""

from __future__ import annotations

import time

import sqlalchemy as sa

from tq_core.contracts.broker import Subscription
from tq_sqlalchemy.database import Database, Session
from tq_sqlalchemy.dialect import MessageVerbs
from tq_sqlalchemy.models import broadcast
from tq_sqlalchemy.waking import FIRST_LOOK, LAST_LOOK, WAKE, Bell

_SEND = sa.insert(broadcast).values(
    channel=sa.bindparam("channel"), sent_at=sa.bindparam("sent_at"), payload=sa.bindparam("payload")
)
_EXPIRE = sa.delete(broadcast).where(broadcast.c.sent_at < sa.bindparam("before"))
_NEWEST = sa.select(sa.func.max(broadcast.c.id))
_SINCE = (
    sa.select(broadcast.c.id, broadcast.c.payload)
    .where(broadcast.c.channel == sa.bindparam("channel"), broadcast.c.id > sa.bindparam("after"))
    .order_by(broadcast.c.id)
)


def send(session: Session, channel: str, payload: bytes) -> int:
    """Add a payload and return its number, which grows by one with each."""
    return session.insert(_SEND, channel=channel, sent_at=time.time(), payload=payload)


def expire(session: Session, age: float) -> None:
    """Delete payloads older than ``age`` seconds."""
    session.run(_EXPIRE, before=time.time() - age)


class DatabaseSubscription(Subscription):
    """Listens to one channel from now on."""

    def __init__(self, database: Database, verbs: MessageVerbs, bell: Bell, channel: str) -> None:
        self._database = database
        self._verbs = verbs
        self._bell = bell
        self._channel = channel
        self._woken = False
        bell.announce()
        self._after: int = database.read(lambda session: session.run(_NEWEST).fetchone()[0] or 0)

    def receive(self, timeout: float) -> list[bytes]:
        deadline = time.monotonic() + timeout
        look: float = FIRST_LOOK
        seen: int | None = None
        while True:
            version = self._database.read(self._verbs.version)
            if version is None or version != seen:
                look = look if version is None else FIRST_LOOK
                seen = version
                payloads = self._new()
                if payloads:
                    return payloads
            rest = deadline - time.monotonic()
            if self._woken or rest <= 0:
                break
            heard = self._bell.wait(min(rest, look))
            if WAKE in heard:
                break
            if heard:
                seen = None
            else:
                look = min(look * 2, LAST_LOOK)
        self._woken = False
        return []

    def _new(self) -> list[bytes]:
        rows = self._database.read(
            lambda session: session.run(_SINCE, channel=self._channel, after=self._after).fetchall()
        )
        if rows:
            self._after = rows[-1][0]
        return [bytes(payload) for _, payload in rows]

    def wake(self) -> None:
        self._woken = True
        self._bell.wake()

    def close(self) -> None:
        self._bell.close()
