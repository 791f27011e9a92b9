"""Brokers that break a promise each: the memory broker with one fault.

``BREAKS`` names the promises that the kit must find broken, and no others.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.conformance.doubles.control import Controlled
from tq_core.brokers.memory import MemoryConsumer
from tq_core.brokers.memory_queues import MemoryQueues
from tq_core.contracts.broker import Ack, BrokerCapabilities, Consumer, Inbox, Park, Requeue
from tq_core.errors import BrokerError
from tq_core.message import Delivery, Message


class Twisted(Controlled):
    """The memory broker with another class of consumers."""

    BREAKS: frozenset[str] = frozenset()
    #: Seconds one check may take.
    LIMIT = 60.0
    consumer_class: type[MemoryConsumer] = MemoryConsumer

    def consumer(self, queues: Sequence[str], *, consumer_id: str, prefetch: int = 0) -> Consumer:
        consumer = self.consumer_class(self._open(), queues, consumer_id, self._lease)
        self._consumers.add(consumer)
        return consumer


class Faultless(Twisted):
    """Nothing is wrong with it."""


class Modest(Twisted):
    """Nothing is wrong with it, and it declares nothing."""

    capabilities = BrokerCapabilities(shared=False)

    def publish(self, messages: Sequence[Message]) -> None:
        super().publish([replace(message, due=None, priority=None) for message in messages])

    class consumer_class(MemoryConsumer):
        def begin(self, tags: Sequence[Any]) -> None:
            self.settle([Ack(tag) for tag in tags])


class Hangs(Twisted):
    """Listing the queues never ends."""

    BREAKS = frozenset({"counting.queues"})
    LIMIT = 20.0

    def queues(self) -> list[str]:
        while True:
            threading.Event().wait(60)


class LosesOnRequeue(Twisted):
    """What is requeued is gone."""

    BREAKS = frozenset(
        {
            "endings.requeue",
            "endings.requeue-uncounted",
            "endings.requeue-order",
            "endings.count",
            "counting.purge",
            "move.held",
            "move.counted",
            "model.sequences",
        }
    )

    class consumer_class(MemoryConsumer):
        def settle(self, settlements: Any, follow_ups: Any = ()) -> Sequence[Any]:
            endings = [Ack(one.tag) if isinstance(one, Requeue) else one for one in settlements]
            return super().settle(endings, follow_ups)


class ForgetsPriority(Twisted):
    """It keeps no priorities."""

    BREAKS = frozenset({"priority.order", "priority.kept", "move.priority", "model.sequences"})

    def publish(self, messages: Sequence[Message]) -> None:
        super().publish([replace(message, priority=None) for message in messages])


class DeliversTwice(Twisted):
    """The last message of a large batch is there twice."""

    BREAKS = frozenset({"delivery.once", "payload.bulk", "move.many"})

    def publish(self, messages: Sequence[Message]) -> None:
        super().publish([*messages, messages[-1]] if len(messages) > 100 else messages)


class IgnoresFencing(Twisted):
    """It says that everything was settled, whoever holds it by now."""

    BREAKS = frozenset(
        {
            "endings.settle-twice",
            "leases.return",
            "leases.fencing",
            "leases.begun-settled",
            "leases.succession",
            "model.sequences",
        }
    )

    class consumer_class(MemoryConsumer):
        def settle(self, settlements: Any, follow_ups: Any = ()) -> Sequence[Any]:
            super().settle(settlements, follow_ups)
            return []


class NeverReaps(Twisted):
    """A dead consumer keeps what it held for ever."""

    BREAKS = frozenset({"leases.return", "leases.fencing", "leases.begun"})

    def _open(self) -> MemoryQueues:
        queues = super()._open()
        queues.reap = lambda: None  # the fault
        return queues


class ReapsTheLiving(Twisted):
    """Renewing a lease does nothing."""

    BREAKS = frozenset({"leases.renew"})

    class consumer_class(MemoryConsumer):
        def renew(self) -> None:
            """Do nothing."""


class RunsBegunTasksAgain(Twisted):
    """It forgets what was begun."""

    BREAKS = frozenset({"leases.begun", "leases.orphan", "leases.succession", "model.sequences"})

    class consumer_class(MemoryConsumer):
        def begin(self, tags: Sequence[Any]) -> None:
            """Do nothing."""


class DeliversEarly(Twisted):
    """Whatever is due within a quarter of a second is handed out now."""

    BREAKS = frozenset({"due.not-early", "due.park", "payload.bulk-due", "move.due", "model.sequences"})

    def publish(self, messages: Sequence[Message]) -> None:
        super().publish([m if m.due is None else replace(m, due=m.due - 0.25) for m in messages])

    class consumer_class(MemoryConsumer):
        def settle(self, settlements: Any, follow_ups: Any = ()) -> Sequence[Any]:
            endings = [Park(one.tag, one.until - 0.25) if isinstance(one, Park) else one for one in settlements]
            return super().settle(endings, follow_ups)


class DropsFollowUps(Twisted):
    """Follow-ups are lost."""

    BREAKS = frozenset({"endings.follow-ups", "endings.follow-ups-alone", "model.sequences"})

    class consumer_class(MemoryConsumer):
        def settle(self, settlements: Any, follow_ups: Any = ()) -> Sequence[Any]:
            return super().settle(settlements)


class LeaksBroadcasts(Twisted):
    """Every listener hears every channel, also those of remote control."""

    BREAKS = frozenset({"broadcast.all", "control.announced", "control.answered"})

    def broadcast(self, channel: str, payload: bytes) -> None:
        for known in list(self._open().listeners):
            super().broadcast(known, payload)


class TellsAnswersToAll(Twisted):
    """Whoever collects answers gets those of all, and what is announced loses its headers."""

    BREAKS = frozenset({"control.announced", "control.answered"})

    def announce(self, exchange: str, message: Message) -> None:
        super().announce(exchange, replace(message, headers={}))

    def answer(self, exchange: str, routing_key: str, message: Message) -> None:
        super().answer(exchange, "", message)

    def answers(self, exchange: str, routing_key: str) -> Inbox:
        return super().answers(exchange, "")


class MindsThatNobodyListens(Twisted):
    """It raises where nobody listens, and what it hears cannot be waited for."""

    BREAKS = frozenset({"control.nobody", "control.waited-for"})

    def announce(self, exchange: str, message: Message) -> None:
        if not self._open().listeners.get(f"announced {exchange}"):
            raise BrokerError("nobody listens")
        super().announce(exchange, message)

    def inbox(self, exchange: str) -> Inbox:
        inbox = super().inbox(exchange)
        inbox.fileno = lambda: None  # the fault
        return inbox


class HidesPauses(Twisted):
    """It does not say which queues are paused."""

    BREAKS = frozenset({"pause.stops"})

    def paused(self) -> list[str]:
        return []


class MixesUpCase(Twisted):
    """Queue names are the same if they are so in lower case."""

    BREAKS = frozenset({"payload.case", "payload.names"})

    def publish(self, messages: Sequence[Message]) -> None:
        super().publish([replace(message, queue=message.queue.lower()) for message in messages])

    def consumer(self, queues: Sequence[str], *, consumer_id: str, prefetch: int = 0) -> Consumer:
        return super().consumer([queue.lower() for queue in queues], consumer_id=consumer_id)


class CutsTextAtNul(Twisted):
    """Texts end at their first NUL, as in C."""

    BREAKS = frozenset({"payload.headers"})

    def publish(self, messages: Sequence[Message]) -> None:
        super().publish([replace(message, headers=self._cut(message.headers)) for message in messages])

    @staticmethod
    def _cut(headers: Any) -> dict[str, Any]:
        return {k: v.partition("\x00")[0] if isinstance(v, str) else v for k, v in headers.items()}


class LosesAfterParking(Twisted):
    """A message that was parked is lost when it is requeued later: only a sequence of calls shows it."""

    BREAKS = frozenset({"model.sequences"})

    class consumer_class(MemoryConsumer):
        def settle(self, settlements: Any, follow_ups: Any = ()) -> Sequence[Any]:
            parked = self._queues.__dict__.setdefault("parked_once", set())
            endings = []
            for one in settlements:
                entry = self._holder.held.get(one.tag)
                if isinstance(one, Park) and entry is not None:
                    parked.add(entry.message.id)
                lost = isinstance(one, Requeue) and entry is not None and entry.message.id in parked
                endings.append(Ack(one.tag) if lost else one)
            return super().settle(endings, follow_ups)


class TakesOverSignals(Twisted):
    """Opening a consumer beside a loop changes a signal handler."""

    BREAKS = frozenset({"asyncio.threads"})

    def publish(self, messages: Sequence[Message]) -> None:
        super().publish(messages)
        if threading.current_thread() is not threading.main_thread() and messages and messages[0].id == "late":
            signal.raise_signal(signal.SIGUSR2)

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        signal.signal(signal.SIGUSR2, lambda number, frame: signal.signal(signal.SIGUSR2, signal.SIG_IGN))


class MovesBackToFront(Twisted):
    """What is moved comes in the opposite order."""

    BREAKS = frozenset({"move.ready", "move.priority", "move.limit", "move.many"})

    def move(self, source: str, target: str, limit: int | None = None) -> int:
        queues = self._open()
        with queues.changed:
            for level in queues.queue(source).levels.values() if source != target else ():
                level.reverse()
        return super().move(source, target, limit)


class MovesTheHeld(Twisted):
    """What is held goes back to the queue that others were moved to."""

    BREAKS = frozenset({"move.held", "model.sequences"})

    def move(self, source: str, target: str, limit: int | None = None) -> int:
        queues = self._open()
        with queues.changed:
            for holder in queues.holders.values():
                for entry in holder.held.values():
                    if entry.message.queue == source:
                        entry.readdress(target)
        return super().move(source, target, limit)


class MovesAsNew(Twisted):
    """What is moved is published anew: without its priority, its due time and what is known of its deliveries."""

    BREAKS = frozenset({"move.priority", "move.due", "move.counted"})

    def move(self, source: str, target: str, limit: int | None = None) -> int:
        if source == target:
            return 0
        queues = self._open()
        with queues.changed:
            found = queues.queue(source)
            entries = [*found.pop(1 << 30 if limit is None else limit)]
            while found.parked and (limit is None or len(entries) < limit):
                entries.append(found.parked.pop(0)[2])
            moved = [replace(entry.message, queue=target, due=None, priority=None) for entry in entries]
            queues.add(moved)
        return len(moved)


class MovesInSilence(Twisted):
    """Nobody is woken by what is moved into a queue."""

    BREAKS = frozenset({"move.wakes"})

    def move(self, source: str, target: str, limit: int | None = None) -> int:
        queues = self._open()
        with queues.changed:
            queues.notify, notify = (lambda: None), queues.notify  # type: ignore[method-assign]  # the fault
            try:
                return super().move(source, target, limit)
            finally:
                queues.notify = notify  # type: ignore[method-assign]


class MovesOntoItself(Twisted):
    """It empties a queue that is moved to itself."""

    BREAKS = frozenset({"move.nothing"})

    def move(self, source: str, target: str, limit: int | None = None) -> int:
        return self.purge(source) if source == target else super().move(source, target, limit)


class LosesOneOfManyMoved(Twisted):
    """Of many messages that are moved the last is lost."""

    BREAKS = frozenset({"move.many"})

    def move(self, source: str, target: str, limit: int | None = None) -> int:
        moved = super().move(source, target, limit)
        if moved > 100:
            queues = self._open()
            with queues.changed:
                queues.queue(target).pop(1)
        return moved


class EndsItsProcess(Twisted):
    """A large body ends the process."""

    BREAKS = frozenset({"payload.bodies"})

    def publish(self, messages: Sequence[Message]) -> None:
        if any(len(message.body) > 1_000_000 for message in messages):
            os._exit(7)
        super().publish(messages)


class ReceivesTooMuch(Twisted):
    """It hands out whatever there is."""

    BREAKS = frozenset({"delivery.limit"})

    class consumer_class(MemoryConsumer):
        def receive(self, limit: int, timeout: float) -> list[Delivery]:
            return super().receive(limit + 1 if limit == 2 and timeout == 5.0 else limit, timeout)


#: Every double, and what is wrong with it.
ALL = [
    kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, Twisted) and kind not in (Twisted, Faultless, Modest)
]
