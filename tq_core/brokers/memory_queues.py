"""What the memory broker keeps: queues, holders, dead letters and listeners of one ``memory://`` name.

Everything here is guarded by :attr:`MemoryQueues.changed`: every method expects its caller to hold it.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any
from weakref import WeakSet

from tq_core import clock
from tq_core.contracts.broker import Ack, Bury, DeadLetter, Park, Requeue, Settlement
from tq_core.message import Delivery, Message


class Entry:
    """One message and what has happened to it so far."""

    __slots__ = ("arrived", "begun", "count", "message", "orphaned", "redelivered")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.arrived = time.monotonic()
        self.count = 0
        self.redelivered = False
        self.begun = False
        self.orphaned = False

    def readdress(self, queue: str) -> None:
        """Note that the message belongs to another queue."""
        message = self.message
        key = queue if message.routing_key == message.queue else message.routing_key
        self.message = replace(message, queue=queue, routing_key=key)

    def delivery(self, tag: Any) -> Delivery:
        """Return the entry as handed over under ``tag``."""
        return Delivery(
            tag=tag,
            queue=self.message.queue,
            message=self.message,
            delivery_count=max(self.count, 1),
            redelivered=self.redelivered,
            orphaned=self.orphaned or self.begun,
        )


class Queue:
    """The ready and the parked messages of one name."""

    __slots__ = ("_order", "levels", "parked")

    def __init__(self) -> None:
        self.levels: dict[int, deque[Entry]] = {}
        self._order: list[deque[Entry]] = []
        self.parked: list[tuple[float, int, Entry]] = []

    def level(self, entry: Entry) -> deque[Entry]:
        """Return the ready messages of the entry's priority; the highest is served first, unset is 0."""
        priority = entry.message.priority or 0
        level = self.levels.get(priority)
        if level is None:
            level = self.levels[priority] = deque()
            self._order = [self.levels[p] for p in sorted(self.levels, reverse=True)]
        return level

    def promote(self, now: float) -> None:
        """Make parked messages ready whose time has come (``now``: Unix time, seconds)."""
        while self.parked and self.parked[0][0] <= now:
            entry = heappop(self.parked)[2]
            self.level(entry).append(entry)

    def pop(self, limit: int) -> list[Entry]:
        """Take up to ``limit`` ready messages, the most urgent first."""
        taken: list[Entry] = []
        for level in self._order:
            while level and len(taken) < limit:
                taken.append(level.popleft())
        return taken

    def ready(self) -> Iterator[Entry]:
        """Iterate over the ready messages in the order they would be taken."""
        return itertools.chain.from_iterable(self._order)


class Holder:
    """What one consumer, or one succession, has in its hands."""

    __slots__ = ("alive", "beat", "held", "lease", "name", "waiting")

    def __init__(self, name: str, lease: float) -> None:
        self.name = name
        self.lease = lease
        self.held: dict[int, Entry] = {}
        self.beat = time.monotonic()
        self.waiting = False
        self.alive = True


class MemoryQueues:
    """One namespace of the memory broker, shared by every broker of the same URL in this process.

    Args:
        dead_letter_limit: dead letters kept; the oldest give way.
    """

    def __init__(self, dead_letter_limit: int) -> None:
        self.changed = threading.Condition()
        self.queues: dict[str, Queue] = {}
        self.paused: set[str] = set()
        self.holders: dict[str, Holder] = {}
        self.letters: dict[str, DeadLetter] = {}
        self.listeners: dict[str, WeakSet[Any]] = {}
        self._waiting = 0
        self._numbers = itertools.count(1)
        self._dead_letter_limit = dead_letter_limit

    def number(self) -> int:
        """Return a number never given before: a tag, an order, an id."""
        return next(self._numbers)

    # --- messages in

    def add(self, messages: Iterable[Message]) -> None:
        """Place messages, parked or ready, and wake receivers."""
        now = clock.now()
        for message in messages:
            entry = Entry(message)
            queue = self.queue(message.queue)
            if message.due is not None and message.due > now:
                self.park(queue, entry, message.due)
            else:
                queue.level(entry).append(entry)
        self.notify()

    def queue(self, name: str) -> Queue:
        """Return the queue of this name, made if need be."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = Queue()
        return queue

    def park(self, queue: Queue, entry: Entry, until: float) -> None:
        """Keep an entry until it is due (Unix time, seconds)."""
        heappush(queue.parked, (until, next(self._numbers), entry))

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Put entries back at the front of their queues, in the order given, and wake receivers."""
        for entry in reversed(entries):
            self.queue(entry.message.queue).level(entry).appendleft(entry)
        if entries:
            self.notify()

    def notify(self) -> None:
        """Wake whoever waits for a message."""
        if self._waiting:
            self.changed.notify_all()

    # --- messages out

    def take(self, holder: Holder, names: Sequence[str], limit: int) -> list[Delivery]:
        """Hand up to ``limit`` ready messages of the queues to ``holder``, the first queue first."""
        self.reap()
        now = clock.now()
        taken: list[Delivery] = []
        for name in names:
            queue = self.queues.get(name)
            if queue is None or name in self.paused:
                continue
            if queue.parked:
                queue.promote(now)
            for entry in queue.pop(limit - len(taken)):
                entry.count += 1
                tag = next(self._numbers)
                holder.held[tag] = entry
                taken.append(entry.delivery(tag))
            if len(taken) >= limit:
                break
        return taken

    def wait(self, holder: Holder, names: Sequence[str], longest: float) -> None:
        """Wait until something may have become ready, at most ``longest`` seconds."""
        due = self._next_due(names)
        if due is not None:
            longest = min(longest, max(due - clock.now(), 0.0))
        now = time.monotonic()
        for other in self.holders.values():
            if other.held and not other.waiting:
                longest = min(longest, max(other.beat + other.lease - now, 0.0) + 0.001)
        holder.waiting = True
        self._waiting += 1
        try:
            self.changed.wait(longest)
        finally:
            self._waiting -= 1
            holder.waiting = False
            holder.beat = time.monotonic()

    def idle(self, names: Sequence[str]) -> bool:
        """Tell the clock when nothing can happen before the next due time; True when that time has come by now."""
        due = self._next_due(names)
        if due is None or any(holder.held for holder in self.holders.values()):
            return False
        clock.idle(due)
        return due <= clock.now()

    def _next_due(self, names: Sequence[str]) -> float | None:
        """Return when the next parked message of the queues is due (Unix time, seconds), None if there is none."""
        queues = (self.queues.get(name) for name in names if name not in self.paused)
        return min((queue.parked[0][0] for queue in queues if queue is not None and queue.parked), default=None)

    # --- holders

    def hold(self, name: str, lease: float) -> Holder:
        """Register a holder; another one of its name is dead, since names are unique among the living."""
        predecessor = self.holders.get(name)
        if predecessor is not None:
            self.bereave(predecessor)
        holder = self.holders[name] = Holder(name, lease)
        return holder

    def unregister(self, holder: Holder) -> list[Entry]:
        """End a holder, so that nothing it still sends is accepted, and return what it held."""
        holder.alive = False
        if self.holders.get(holder.name) is holder:
            del self.holders[holder.name]
        held = list(holder.held.values())
        holder.held.clear()
        return held

    def bereave(self, holder: Holder) -> None:
        """Treat a holder as dead: its deliveries count, and what it had begun becomes an orphan."""
        entries = self.unregister(holder)
        for entry in entries:
            mark_abandoned(entry)
        self.put_back(entries)

    def reap(self) -> None:
        """End holders whose lease ran out."""
        now = time.monotonic()
        for holder in list(self.holders.values()):
            if not holder.waiting and holder.beat + holder.lease < now:
                self.bereave(holder)

    def settle(self, holder: Holder, settlements: Sequence[Settlement], follow_ups: Sequence[Message]) -> list[Any]:
        """Give deliveries their endings and add follow-ups; return the tags that ``holder`` did not hold."""
        lost: list[Any] = []
        requeued: list[Entry] = []
        for settlement in settlements:
            entry = holder.held.pop(settlement.tag, None)
            if entry is None:
                lost.append(settlement.tag)
            elif isinstance(settlement, Ack):
                pass
            elif isinstance(settlement, Requeue):
                if settlement.uncounted:
                    entry.count -= 1
                else:
                    entry.redelivered = True
                entry.begun = False
                requeued.append(entry)
            elif isinstance(settlement, Park):
                entry.count -= 1
                entry.begun = False
                self.park(self.queue(entry.message.queue), entry, settlement.until)
                self.notify()
            else:
                self.bury(entry.message, entry.message.queue, settlement, entry.count)
        self.put_back(requeued)
        if follow_ups:
            self.add(follow_ups)
        return lost

    # --- dead letters

    def bury(self, message: Message, queue: str, ending: Bury, count: int) -> str:
        """Keep a message as a dead letter and return the letter's id."""
        letter_id = str(next(self._numbers))
        self.letters[letter_id] = DeadLetter(
            letter_id=letter_id,
            queue=queue,
            message=message if message.queue == queue else replace(message, queue=queue),
            reason=ending.reason,
            buried_at=clock.now(),
            traceback=ending.traceback,
            delivery_count=count,
        )
        while len(self.letters) > self._dead_letter_limit:
            del self.letters[next(iter(self.letters))]
        return letter_id

    def purge(self, name: str) -> int:
        """Drop the ready and parked messages of a queue and return how many they were."""
        queue = self.queues.get(name)
        if queue is None:
            return 0
        dropped = sum(map(len, queue.levels.values())) + len(queue.parked)
        for level in queue.levels.values():
            level.clear()
        queue.parked.clear()
        return dropped

    def move(self, source: str, target: str, limit: int | None) -> int:
        """Put up to ``limit`` waiting messages of one queue behind those of another; return how many they were."""
        queue = self.queues.get(source)
        if queue is None or source == target:
            return 0
        queue.promote(clock.now())
        most = sys.maxsize if limit is None else limit
        ready = queue.pop(most)
        parked = [heappop(queue.parked) for _ in range(min(most - len(ready), len(queue.parked)))]
        other = self.queue(target)
        for entry in ready:
            entry.readdress(target)
            other.level(entry).append(entry)
        for until, number, entry in parked:
            entry.readdress(target)
            heappush(other.parked, (until, number, entry))
        self.notify()
        return len(ready) + len(parked)


def mark_abandoned(entry: Entry) -> None:
    """Note that the holder of an entry died: somebody may have run it, and certainly did if it was begun."""
    entry.redelivered = True
    entry.orphaned = entry.orphaned or entry.begun
    entry.begun = False
