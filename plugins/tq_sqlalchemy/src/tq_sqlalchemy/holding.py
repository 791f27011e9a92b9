"""What one fence holds, and how it ends: the part a consumer and a successor have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from tq_core.contracts.broker import Ack, Bury, Park, Requeue, Settlement
from tq_core.message import Delivery, Message
from tq_sqlalchemy.database import Database, Session
from tq_sqlalchemy.dead_letters import Cemetery
from tq_sqlalchemy.dialect import MessageVerbs
from tq_sqlalchemy.envelope import message_of, raw_of, rows_of, wakes_of
from tq_sqlalchemy.leases import is_registered, strike
from tq_sqlalchemy.models import PARKED, message
from tq_sqlalchemy.waking import SOON

_PARK = (
    sa.update(message)
    .where(message.c.id == sa.bindparam("row"), message.c.owner == sa.bindparam("fence"))
    .values(
        state=PARKED,
        owner=None,
        turn=None,
        due=sa.bindparam("until"),
        delivery_count=message.c.delivery_count - 1,
    )
)


class Holding:
    """The rows that carry one fence. Belongs to one thread.

    A tag is ``(fence, row, turn)``: who took which row, and at which of its receptions.

    Args:
        database: where the rows are.
        verbs: the dialect's way with messages.
        fence: the registration they belong to.
        cemetery: keeps what is buried.
        ring: called with the names of queues that have got ready messages, after the commit.
        learn: called inside the transaction with the queues of messages about to be published.
    """

    def __init__(
        self,
        database: Database,
        verbs: MessageVerbs,
        fence: int,
        cemetery: Cemetery,
        ring: Callable[[Iterable[str], int], None],
        learn: Callable[[Session, Iterable[str]], None],
    ) -> None:
        self._database = database
        self._verbs = verbs
        self._cemetery = cemetery
        self._ring = ring
        self._learn = learn
        self._turns: dict[int, int] = {}
        self.fence = fence

    def adopt(self, queue: str, turn: int, rows: Iterable[Sequence[Any]]) -> list[Delivery]:
        """Make deliveries of rows as :meth:`tq_sqlalchemy.dialect.MessageVerbs.claim` returns them."""
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
            self._database.once(lambda session: self._verbs.begin(session, self.fence, rows))

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message]) -> list[Any]:
        """End deliveries and publish follow-ups in one transaction; return the tags not held.

        Follow-ups of a fenced holder are refused with its endings: the next holder's run makes them again.
        """
        lost: list[Any] = []
        rows = self._held([settlement.tag for settlement in settlements], lost)
        if not follow_ups and all(type(settlement) is Ack for settlement in settlements):
            if rows:
                gone = self._database.once(lambda session: self._verbs.delete(session, self.fence, rows))
                # A fence loses all of its rows in one transaction. While it stands, what is gone was deleted by an
                # attempt of this call whose answer was lost.
                if gone != len(rows) and not self._database.read(lambda session: is_registered(session, self.fence)):
                    lost = [settlement.tag for settlement in settlements]
        elif rows or not settlements:
            encoded = rows_of(follow_ups)
            follow_up_counts = wakes_of(encoded)
            woken: dict[str, int] = {}

            def work(session: Session) -> bool:
                woken.clear()
                if not is_registered(session, self.fence):
                    return False
                self._end(session, settlements, woken)
                if encoded:
                    self._learn(session, follow_up_counts)
                    self._verbs.insert(session, encoded, follow_up_counts)
                return True

            if not self._database.write(work):
                lost = [settlement.tag for settlement in settlements]
            else:
                if not self._verbs.insert_rings:
                    for queue, count in follow_up_counts.items():
                        woken[queue] = woken.get(queue, 0) + count
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
        gone: list[int] = []
        ready: list[int] = []
        requeued: dict[bool, list[int]] = {True: [], False: []}
        for settlement in settlements:
            fence, row, turn = settlement.tag
            if fence != self.fence or self._turns.get(row) != turn:
                continue
            if isinstance(settlement, Ack):
                gone.append(row)
            elif isinstance(settlement, Requeue):
                requeued[not settlement.uncounted].append(row)
                ready.append(row)
            elif isinstance(settlement, Park):
                session.run(_PARK, row=row, fence=fence, until=settlement.until)
                if settlement.until - time.time() < SOON:
                    ready.append(row)
            elif isinstance(settlement, Bury):
                self._cemetery.bury_row(session, row, settlement.reason, settlement.traceback)
                gone.append(row)
        for counted, rows in requeued.items():
            if rows:
                self._verbs.requeue(session, self.fence, rows, counted=counted)
        if gone:
            self._verbs.delete(session, self.fence, gone)
        if ready:
            for queue in self._verbs.queues_of(session, ready):
                woken[queue] = woken.get(queue, 0) + len(ready)

    def release(self, turns: Sequence[int]) -> None:
        """Return what was claimed in turns whose answer never came."""
        self._database.once(lambda session: self._verbs.release(session, self.fence, turns))

    def give_back(self, *, counted: bool) -> None:
        """End the registration and return everything; see :func:`tq_sqlalchemy.leases.strike`."""
        returned = self._database.write(lambda session: strike(session, self.fence, counted=counted))
        self.drop()
        for queue, count in returned.items():
            self._ring([queue], count)

    def drop(self) -> None:
        """Forget every hand-over, so that their tags count as lost."""
        self._turns.clear()
