"""What a broker's queues should hold: a model in plain lists, with the freedom that the contract leaves."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from tq_core.contracts.broker import Ack, BrokerCapabilities, Bury, Park, Requeue
from tq_core.message import Delivery, Message


@dataclass(slots=True, eq=False)
class Modelled:
    """One message and what should be known about it.

    Attributes:
        message: as published.
        order: when it was published, for messages that were never taken.
        count: deliveries that count.
        redelivered: whether somebody may have run it.
        begun: whether its holder began it.
        orphaned: whether a holder began it and died.
        returned: whether it was given back, and so stands before those never taken.
        free: whether the contract leaves open where in the queue it stands: once parked, exhumed, moved or orphaned.
        due: Unix time, seconds; None when it waits for nothing.
        sure: whether the contract says what its count and its ``redelivered`` are.
    """

    message: Message
    order: int
    count: int = 0
    redelivered: bool = False
    begun: bool = False
    orphaned: bool = False
    returned: bool = False
    free: bool = False
    due: float | None = None
    sure: bool = True


class BrokerModel:
    """Queues, holdings and dead letters.

    Args:
        able: what the broker declares; it decides what is known about a message.
    """

    def __init__(self, able: BrokerCapabilities) -> None:
        self.able = able
        self.waiting: dict[str, list[Modelled]] = {}
        self.buried: list[Modelled] = []
        self.paused: set[str] = set()
        self._published = 0

    def publish(self, message: Message) -> None:
        """Place a message."""
        self._published += 1
        # Where the broker keeps no due times, it hands the message out at once.
        due = message.due if self.able.due_time else None
        entry = Modelled(message, self._published, due=due, free=due is not None)
        self.waiting.setdefault(message.queue, []).append(entry)

    def available(self, queues: tuple[str, ...], now: float) -> list[Modelled]:
        """Return what a consumer of these queues must be able to get (``now``: Unix time, seconds)."""
        return [
            entry
            for queue in queues
            if queue not in self.paused
            for entry in self.waiting.get(queue, ())
            if entry.due is None or entry.due <= now
        ]

    def take(self, queue: str, deliveries: list[Delivery]) -> list[Modelled]:
        """Hand messages of one queue over, and check that they are those which are next, as they should be."""
        taken = [self._taken(queue, delivery) for delivery in deliveries]
        ordered = [entry for entry in taken if not entry.free]
        ranks = [self._rank(entry) for entry in ordered]
        assert ranks == sorted(ranks), f"{self._words(ordered)} came in this order"
        left = [entry for entry in self.waiting.get(queue, ()) if not entry.free and entry.due is None]
        for entry in left:
            assert not ranks or max(ranks) <= self._rank(entry), (
                f"{self._words(ordered)} came before {entry.message.id}"
            )
        return taken

    def _taken(self, queue: str, delivery: Delivery) -> Modelled:
        assert delivery.message is not None, delivery.defect
        waiting = self.waiting.get(queue, [])
        entry = next((entry for entry in waiting if entry.message.id == delivery.message.id), None)
        assert entry is not None, f"{delivery.message.id} came, which does not wait in {queue}"
        assert entry.due is None or entry.due <= time.time() + 0.01, f"{entry.message.id} came early"
        assert queue not in self.paused, f"{entry.message.id} came from a paused queue"
        waiting.remove(entry)
        entry.due = None
        entry.count += 1
        assert bytes(delivery.message.body) == entry.message.body
        self.compare(entry, delivery)
        return entry

    def compare(self, entry: Modelled, delivery: Delivery) -> None:
        """Check what a delivery says about a message."""
        assert delivery.orphaned == entry.orphaned, f"{entry.message.id} is orphaned: {delivery.orphaned}"
        if entry.sure:
            assert delivery.redelivered == entry.redelivered, (
                f"{entry.message.id} is redelivered: {delivery.redelivered}"
            )
            if self.able.delivery_count:
                assert delivery.delivery_count == entry.count, f"{entry.message.id} counts {delivery.delivery_count}"

    def _rank(self, entry: Modelled) -> tuple[int, int, int]:
        """Return where a message stands in its queue; equal for those whose order is open."""
        level = 0
        if self.able.priority:
            level = entry.message.priority or 0
            level = -level if self.able.priority_order == "high_first" else level
        return (level, 0, 0) if entry.returned else (level, 1, entry.order)

    @staticmethod
    def _words(entries: list[Modelled]) -> list[str]:
        return [entry.message.id for entry in entries]

    def settle(self, entry: Modelled, ending: Ack | Requeue | Park | Bury) -> None:
        """Give a message that is held an ending."""
        match ending:
            case Ack():
                return
            case Bury():
                self.buried.append(entry)
                return
            case Requeue(uncounted=uncounted):
                if uncounted:
                    entry.count -= 1
                else:
                    entry.redelivered = True
                entry.returned = True
            case Park(until=until):
                entry.count -= 1
                entry.due = until if self.able.due_time else None
                entry.free = True
        entry.begun = False
        self.waiting.setdefault(entry.message.queue, []).append(entry)

    def give_back(self, entry: Modelled) -> None:
        """Return a message whose holder closed."""
        entry.count -= 1
        self._return(entry)

    def bereave(self, entry: Modelled) -> None:
        """Return a message whose holder died."""
        entry.redelivered = True
        self._return(entry)

    def _return(self, entry: Modelled) -> None:
        entry.returned = True
        if entry.begun:
            # Somebody certainly ran it; whether the giving back counts is left open.
            entry.orphaned, entry.free, entry.sure, entry.begun = True, True, False, False
        self.waiting.setdefault(entry.message.queue, []).append(entry)

    def move(self, source: str, target: str) -> int:
        """Put all that waits in one queue into the other; return how many messages that were."""
        moved = self.waiting.pop(source, [])
        for entry in moved:
            entry.message = replace(entry.message, queue=target)
            entry.free = True
        self.waiting.setdefault(target, []).extend(moved)
        return len(moved)

    def exhume(self, entry: Modelled) -> None:
        """Put a dead letter back into its queue."""
        self.buried.remove(entry)
        self._published += 1
        fresh = Modelled(entry.message, self._published, free=True)
        self.waiting.setdefault(entry.message.queue, []).append(fresh)
