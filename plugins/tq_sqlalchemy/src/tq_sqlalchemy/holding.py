"""What one fence holds, and how it ends: the part a consumer and a successor have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from tq_core.contracts.broker import Ack, Bury, Park, Requeue, Settlement
from tq_core.message import Delivery, Message
from tq_sqlalchemy.dead_letters import Cemetery
from tq_sqlalchemy.envelope import message_of, raw_of, rows_of
from tq_sqlalchemy.leases import is_registered, strike
from tq_sqlalchemy.models import BEGUN, HELD, PARKED, READY, message
from tq_sqlalchemy.session import Database, Session
from tq_sqlalchemy.sqlite.messages import delete_held, id_list, insert_messages

_BEGIN = f"""
UPDATE tq_message SET state = {BEGUN}
WHERE +owner = ? AND state = {HELD} AND id IN (SELECT value FROM json_each(?))
"""
_REQUEUE = (
    sa.update(message)
    .where(message.c.id == sa.bindparam("row"))
    .values(state=READY, owner=None, turn=None, delivery_count=message.c.delivery_count - sa.bindparam("uncount"))
)
_PARK = (
    sa.update(message)
    .where(message.c.id == sa.bindparam("row"))
    .values(
        state=PARKED,
        owner=None,
        turn=None,
        due=sa.bindparam("until"),
        delivery_count=message.c.delivery_count - 1,
    )
)
_RELEASE = f"""
UPDATE tq_message SET state = {READY}, owner = NULL, turn = NULL, delivery_count = delivery_count - 1
WHERE owner = ? AND state = {HELD} AND turn IN (SELECT value FROM json_each(?))
"""
_QUEUES = "SELECT DISTINCT queue FROM tq_message WHERE id IN (SELECT value FROM json_each(?))"


class Holding:
    """The rows that carry one fence. Belongs to one thread.

    A tag is ``(fence, row, turn)``: who took which row, and at which of its receptions.

    Args:
        database: where the rows are.
        fence: the registration they belong to.
        cemetery: keeps what is buried.
        ring: called with the names of queues that have got ready messages, after the commit.
        learn: called inside the transaction with the queues of messages about to be published.
    """

    def __init__(
        self,
        database: Database,
        fence: int,
        cemetery: Cemetery,
        ring: Callable[[Iterable[str], int], None],
        learn: Callable[[Session, Iterable[str]], None],
    ) -> None:
        self._database = database
        self._cemetery = cemetery
        self._ring = ring
        self._learn = learn
        self._turns: dict[int, int] = {}
        self.fence = fence

    def adopt(self, queue: str, turn: int, rows: Iterable[Sequence[Any]]) -> list[Delivery]:
        """Make deliveries of rows as :func:`tq_sqlalchemy.sqlite.messages.claim` returns them."""
        fence, turns = self.fence, self._turns
        deliveries = []
        for _, row, count, orphaned, task_id, due, kind, encoding, properties, headers, body in rows:
            turns[row] = turn
            defect = None
            try:
                read: Message | None = message_of(task_id, queue, due, kind, encoding, properties, headers, body)
                raw = b""
            except ValueError as error:
                read, defect, raw = None, str(error), raw_of(headers, body)
            lost = orphaned == 1
            deliveries.append(Delivery((fence, row, turn), queue, read, defect, raw, count, count > 1 or lost, lost))
        return deliveries

    def begin(self, tags: Sequence[Any]) -> None:
        """Mark rows as begun; those no longer held are left alone."""
        rows = self._held(tags, [])
        if rows:
            self._database.once(lambda session: session.open().execute(_BEGIN, (self.fence, id_list(rows))))

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message]) -> list[Any]:
        """End deliveries and publish follow-ups in one transaction; return the tags not held.

        Follow-ups of a fenced holder are refused with its endings: the next holder's run makes them again.
        """
        lost: list[Any] = []
        rows = self._held([settlement.tag for settlement in settlements], lost)
        if not follow_ups and all(type(settlement) is Ack for settlement in settlements):
            if rows:
                gone = self._database.once(lambda session: delete_held(session.open(), self.fence, rows))
                # A fence loses all of its rows in one transaction, so that none is left when not all are.
                if gone != len(rows):
                    lost = [settlement.tag for settlement in settlements]
        elif rows or not settlements:
            encoded = rows_of(follow_ups)
            woken: dict[str, int] = {}

            def work(session: Session) -> bool:
                woken.clear()
                if not is_registered(session, self.fence):
                    return False
                self._end(session, settlements, woken)
                if encoded:
                    self._learn(session, {row[1] for row in encoded})
                    insert_messages(session.open(), encoded)
                return True

            if not self._database.write(work):
                lost = [settlement.tag for settlement in settlements]
            else:
                for columns in encoded:
                    if columns[4] == READY:
                        woken[columns[1]] = woken.get(columns[1], 0) + 1
                for queue, count in woken.items():
                    self._ring([queue], count)
        for row in rows:
            self._turns.pop(row, None)
        return lost

    def _held(self, tags: Iterable[Any], lost: list[Any]) -> list[int]:
        rows, fence, turns = [], self.fence, self._turns
        for tag in tags:
            if tag[0] == fence and turns.get(tag[1]) == tag[2]:
                rows.append(tag[1])
            else:
                lost.append(tag)
        return rows

    def _end(self, session: Session, settlements: Sequence[Settlement], woken: dict[str, int]) -> None:
        acked, requeued = [], []
        for settlement in settlements:
            fence, row, turn = settlement.tag
            if fence != self.fence or self._turns.get(row) != turn:
                continue
            if isinstance(settlement, Ack):
                acked.append(row)
            elif isinstance(settlement, Requeue):
                session.run(_REQUEUE, row=row, uncount=1 if settlement.uncounted else 0)
                requeued.append(row)
            elif isinstance(settlement, Park):
                session.run(_PARK, row=row, until=settlement.until)
                if settlement.until - time.time() < 2.0:
                    requeued.append(row)
            elif isinstance(settlement, Bury):
                self._cemetery.bury_row(session, row, settlement.reason, settlement.traceback)
                acked.append(row)
        if acked:
            delete_held(session.open(), self.fence, acked)
        if requeued:
            for (queue,) in session.open().execute(_QUEUES, (id_list(requeued),)).fetchall():
                woken[queue] = woken.get(queue, 0) + len(requeued)

    def release(self, turns: Sequence[int]) -> None:
        """Return what was claimed in turns whose answer never came."""
        self._database.once(lambda session: session.open().execute(_RELEASE, (self.fence, id_list(turns))))

    def give_back(self, *, counted: bool) -> None:
        """End the registration and return everything; see :func:`tq_sqlalchemy.leases.strike`."""
        returned = self._database.write(lambda session: strike(session, self.fence, counted=counted))
        self.drop()
        for queue, count in returned.items():
            self._ring([queue], count)

    def drop(self) -> None:
        """Forget every hand-over, so that their tags count as lost."""
        self._turns.clear()
