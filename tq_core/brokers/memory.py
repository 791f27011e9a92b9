"""The memory broker: queues that live and die with the process, for tests, notebooks and small programs.

It keeps the whole contract, leases and dead letters included, except that no other process can see it. The
URL chooses a namespace: ``memory://`` and ``memory://orders`` do not see each other's queues, two
applications with the same URL share theirs.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

from tq_core import clock
from tq_core.brokers.memory_queues import Holder, MemoryQueues, mark_abandoned
from tq_core.contracts.broker import (
    Broker,
    BrokerCapabilities,
    BrokerRequest,
    Bury,
    Consumer,
    DeadLetter,
    QueueDepth,
    Settlement,
    Subscription,
    Succession,
)
from tq_core.message import Delivery, Message

#: Namespaces of this process by process id and URL; a forked child starts with none.
_NAMESPACES: dict[tuple[int, str], MemoryQueues] = {}

#: What the memory broker can do.
CAPABILITIES = BrokerCapabilities(
    due_time=True,
    priority=True,
    lease=True,
    orphans=True,
    delivery_count=True,
    dead_letters=True,
    atomic_settle=True,
    broadcast=True,
    peek=True,
    depth=True,
    purge=True,
    move=True,
    pause=True,
    shared=False,
)


def forget(url: str) -> None:
    """Drop the namespace of a URL and all that is in it; who still has a broker of that URL keeps what it sees."""
    _NAMESPACES.pop((os.getpid(), _namespace(url)), None)


def wake_all() -> None:
    """Let every waiting consumer of this process look again, because the clock was moved."""
    pid = os.getpid()
    for (owner, _), queues in list(_NAMESPACES.items()):
        if owner == pid:
            with queues.changed:
                queues.notify()


def _namespace(url: str) -> str:
    parts = urlsplit(url)
    return (parts.netloc.rpartition("@")[2] + parts.path).strip("/")


class MemoryBroker(Broker):
    """The broker of ``memory://`` URLs.

    Args:
        request: ``lease_duration`` (seconds, default 8) and ``dead_letter_max_count`` (default 10,000) are
            read from its settings.
    """

    capabilities = CAPABILITIES

    def __init__(self, request: BrokerRequest) -> None:
        self._name = _namespace(request.url)
        self._lease = float(request.settings.get("lease_duration") or 8.0)
        self._dead_letter_limit = int(request.settings.get("dead_letter_max_count") or 10_000)
        self._consumers: WeakSet[MemoryConsumer] = WeakSet()
        self._pid = 0
        self._queues: MemoryQueues

    def _open(self) -> MemoryQueues:
        """Return the namespace, a new one in a forked child, where the parent's lock may be held for ever."""
        pid = os.getpid()
        if pid != self._pid:
            fresh = MemoryQueues(self._dead_letter_limit)
            self._queues = _NAMESPACES.setdefault((pid, self._name), fresh)  # atomic: threads agree on one
            self._pid = pid
        return self._queues

    def connect(self, timeout: float) -> None:
        """Do nothing: memory always answers."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Hand messages over."""
        queues = self._open()
        with queues.changed:
            queues.add(messages)

    def consumer(self, queues: Sequence[str], *, consumer_id: str, prefetch: int = 0) -> Consumer:
        """Open a consumer."""
        consumer = MemoryConsumer(self._open(), queues, consumer_id, self._lease)
        self._consumers.add(consumer)
        return consumer

    def succeed(self, consumer_id: str) -> Succession:
        """Take over what a dead consumer holds."""
        return MemorySuccession(self._open(), consumer_id, self._lease)

    def close(self) -> None:
        """Close the consumers opened here; the queues stay, for whoever uses the same URL."""
        if self._pid == os.getpid():  # what a fork inherited is the parent's, and so may be its lock
            for consumer in list(self._consumers):
                consumer.close()

    def broadcast(self, channel: str, payload: bytes) -> None:
        """Send to every current listener of ``channel``."""
        queues = self._open()
        with queues.changed:
            listeners = list(queues.listeners.get(channel, ()))
        for listener in listeners:
            listener.hear(payload)

    def listen(self, channel: str) -> Subscription:
        """Listen to ``channel``."""
        return MemorySubscription(self._open(), channel)

    def queues(self) -> list[str]:
        """Return the names of all queues, sorted."""
        queues = self._open()
        with queues.changed:
            return sorted(queues.queues)

    def depth(self, queue: str) -> QueueDepth:
        """Count a queue's messages."""
        queues = self._open()
        with queues.changed:
            queues.reap()
            found = queues.queue(queue) if queue in queues.queues else None
            if found is None:
                return QueueDepth(ready=0)
            found.promote(clock.now())
            oldest = min((level[0].arrived for level in found.levels.values() if level), default=None)
            return QueueDepth(
                ready=sum(map(len, found.levels.values())),
                parked=len(found.parked),
                held=sum(
                    entry.message.queue == queue for holder in queues.holders.values() for entry in holder.held.values()
                ),
                oldest=None if oldest is None else time.monotonic() - oldest,
            )

    def peek(self, queue: str, limit: int = 10) -> list[Delivery]:
        """Look at ready, then parked messages."""
        queues = self._open()
        with queues.changed:
            found = queues.queues.get(queue)
            if found is None:
                return []
            found.promote(clock.now())
            waiting = [*found.ready(), *(entry for _, _, entry in sorted(found.parked, key=lambda p: p[:2]))]
            return [entry.delivery(None) for entry in waiting[:limit]]

    def purge(self, queue: str) -> int:
        """Drop all ready and parked messages of a queue."""
        queues = self._open()
        with queues.changed:
            return queues.purge(queue)

    def move(self, source: str, target: str, limit: int | None = None) -> int:
        """Put waiting messages of one queue into another, all in one step."""
        queues = self._open()
        with queues.changed:
            return queues.move(source, target, limit)

    def pause(self, queue: str) -> None:
        """Hand out nothing from ``queue`` until :meth:`resume`."""
        queues = self._open()
        with queues.changed:
            queues.paused.add(queue)

    def resume(self, queue: str) -> None:
        """End a pause."""
        queues = self._open()
        with queues.changed:
            queues.paused.discard(queue)
            queues.notify()

    def paused(self) -> list[str]:
        """Return the names of paused queues, sorted."""
        queues = self._open()
        with queues.changed:
            return sorted(queues.paused)

    def dead_letters(self, *, queue: str | None = None, limit: int = 100) -> Iterator[DeadLetter]:
        """Iterate over dead letters, newest first."""
        queues = self._open()
        with queues.changed:
            letters = [x for x in reversed(queues.letters.values()) if queue is None or x.queue == queue]
        return iter(letters[:limit])

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """Return one dead letter, or None."""
        return self._open().letters.get(letter_id)

    def bury(self, queue: str, message: Message, reason: str, traceback: str | None = None) -> str:
        """Bury a message that is not held, and return the letter's id."""
        queues = self._open()
        with queues.changed:
            return queues.bury(message, queue, Bury(None, reason, traceback), 0)

    def exhume(self, letter_ids: Sequence[str]) -> int:
        """Put dead letters back into their queues with a fresh count."""
        queues = self._open()
        with queues.changed:
            letters = [queues.letters.pop(i) for i in dict.fromkeys(letter_ids) if i in queues.letters]
            queues.add([letter.message for letter in letters if letter.message is not None])
            return len(letters)

    def drop_dead(self, letter_ids: Sequence[str]) -> int:
        """Delete dead letters."""
        queues = self._open()
        with queues.changed:
            return sum(queues.letters.pop(i, None) is not None for i in letter_ids)


class MemoryConsumer(Consumer):
    """Takes messages from some queues of one namespace.

    The queues take turns being first, so that a full one does not starve the rest.
    """

    def __init__(self, queues: MemoryQueues, names: Sequence[str], consumer_id: str, lease: float) -> None:
        self._queues = queues
        self._names = deque(names)
        self._id = consumer_id
        self._lease = lease
        self._woken = False
        self._closed = False
        with queues.changed:
            self._holder = queues.hold(consumer_id, lease)

    def _living(self) -> Holder:
        """Return the holder, a new one after the lease was lost: a late consumer goes on with empty hands."""
        if not self._holder.alive and not self._closed:
            self._holder = self._queues.hold(self._id, self._lease)
        return self._holder

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to ``limit`` messages, waiting up to ``timeout`` seconds for the first."""
        queues = self._queues
        deadline = time.monotonic() + timeout
        with queues.changed:
            while not self._closed:
                holder = self._living()
                holder.beat = time.monotonic()
                taken = queues.take(holder, self._names, limit)
                if taken or self._woken:
                    break
                if queues.idle(self._names):
                    continue
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                queues.wait(holder, self._names, left)
            else:
                return []
            self._woken = False
            self._names.rotate(-1)
            return taken

    def begin(self, tags: Sequence[Any]) -> None:
        """Note that these deliveries must not be run again."""
        with self._queues.changed:
            held = self._holder.held
            for tag in tags:
                if tag in held:
                    held[tag].begun = True

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        """Give each delivery its ending, and publish messages that follow from them."""
        with self._queues.changed:
            self._holder.beat = time.monotonic()
            return self._queues.settle(self._holder, settlements, follow_ups)

    def renew(self) -> None:
        """Keep this consumer's lease alive."""
        self._holder.beat = time.monotonic()

    def wake(self) -> None:
        """Make a waiting :meth:`receive` return at once, or the next one if none waits."""
        with self._queues.changed:
            self._woken = True
            self._queues.notify()

    def set_queues(self, queues: Sequence[str]) -> None:
        """Receive from these queues from now on."""
        with self._queues.changed:
            self._names = deque(queues)

    def close(self) -> None:
        """Give back what is held, uncounted, and end the lease; what was begun becomes an orphan."""
        with self._queues.changed:
            self._closed = True
            entries = self._queues.unregister(self._holder)
            for entry in entries:
                entry.count -= 1
                if entry.begun:
                    mark_abandoned(entry)
            self._queues.put_back(entries)
            self._queues.notify()


class MemorySuccession(Succession):
    """What a dead consumer held, held in its stead under a lease of its own."""

    def __init__(self, queues: MemoryQueues, consumer_id: str, lease: float) -> None:
        self._queues = queues
        with queues.changed:
            dead = queues.holders.get(consumer_id)
            entries = queues.unregister(dead) if dead is not None else []
            self._holder = queues.hold(f"succession of {consumer_id}", lease)
            for entry in entries:
                mark_abandoned(entry)
                self._holder.held[queues.number()] = entry

    def held(self) -> list[Delivery]:
        """Return what the dead consumer held."""
        with self._queues.changed:
            return [entry.delivery(tag) for tag, entry in self._holder.held.items()]

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        """Give each delivery its ending, and publish messages that follow from them."""
        with self._queues.changed:
            return self._queues.settle(self._holder, settlements, follow_ups)

    def close(self) -> None:
        """Requeue whatever was not settled."""
        with self._queues.changed:
            self._queues.put_back(self._queues.unregister(self._holder))


class MemorySubscription(Subscription):
    """Hears what is broadcast on one channel."""

    def __init__(self, queues: MemoryQueues, channel: str) -> None:
        self._queues = queues
        self._channel = channel
        self._arrived = threading.Condition()
        self._payloads: deque[bytes] = deque()
        self._woken = False
        with queues.changed:
            queues.listeners.setdefault(channel, WeakSet()).add(self)

    def hear(self, payload: bytes) -> None:
        """Take in one payload; called by the broadcasting thread."""
        with self._arrived:
            self._payloads.append(payload)
            self._arrived.notify()

    def receive(self, timeout: float) -> list[bytes]:
        """Return the payloads that have come in, waiting up to ``timeout`` seconds for the first."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._payloads or self._woken, timeout)
            self._woken = False
            payloads = list(self._payloads)
            self._payloads.clear()
            return payloads

    def wake(self) -> None:
        """Make a waiting :meth:`receive` return at once, or the next one if none waits."""
        with self._arrived:
            self._woken = True
            self._arrived.notify()

    def close(self) -> None:
        """Stop listening."""
        with self._queues.changed:
            listeners = self._queues.listeners.get(self._channel)
            if listeners is not None:
                listeners.discard(self)
                if not listeners:
                    del self._queues.listeners[self._channel]
