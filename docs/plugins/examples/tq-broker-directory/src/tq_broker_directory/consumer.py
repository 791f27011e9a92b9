"""Those who hold messages: a living consumer, and the succession to a dead one."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tq_core.contracts.broker import Ack, Bury, Consumer, Park, Requeue, Settlement, Succession
from tq_core.message import Delivery, Message

from tq_broker_directory.envelope import delivery
from tq_broker_directory.layout import (
    BEGUN,
    FRESH,
    ORPHAN,
    Name,
    directory_name,
    messages_in,
    move,
    order_of,
    token,
)
from tq_broker_directory.leases import Lease, Watch, give_back

if TYPE_CHECKING:
    from tq_broker_directory.broker import DirectoryBroker


class Holder:
    """Messages in somebody's hands, by tag."""

    def __init__(self, broker: DirectoryBroker, name: str) -> None:
        self._broker = broker
        self._directory = broker.root / "held" / directory_name(name)
        self._lease = Lease(self._directory, broker.lease_duration)
        self._held: dict[Any, Path] = {}

    def _take(self, file: Path, *, deliveries: int, mark: str) -> Delivery | None:
        """Move a file into these hands; None when somebody else was faster."""
        tag = token()
        name = Name(Name.of(file).order, deliveries, mark, tag)
        held = move(file, self._directory / file.parent.name, str(name))
        if held is None:
            return None
        try:
            received = delivery(held, tag)
        except FileNotFoundError:  # this process slept for longer than its lease, just now
            return None
        self._held[tag] = held
        return received

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        """Publish the follow-ups, then give each delivery its ending: a crash in between repeats, and loses nothing."""
        with self._broker.reachable():
            self._broker.add(follow_ups)
            self._lease.renew()
            return [ending.tag for ending in settlements if not self._end(ending)]

    def _end(self, ending: Settlement) -> bool:
        """Give one delivery its ending; False when it is not held here any more."""
        file = self._held.get(ending.tag)
        if file is None:
            return False
        done = self._move_on(file, ending)
        del self._held[ending.tag]  # not before: after an error the same ending is tried again
        return done

    def _move_on(self, file: Path, ending: Settlement) -> bool:
        name = Name.of(file)
        mark = ORPHAN if name.mark == ORPHAN else FRESH
        match ending:
            case Ack():
                return _removed(file)
            case Bury():
                return self._broker.letters.take(file, ending) is not None
            case Park(until=until):
                back = Name(order_of(until), name.deliveries - 1, mark)
            case Requeue(uncounted=uncounted):
                back = Name(name.order, name.deliveries - uncounted, mark)
        return move(file, self._broker.root / "queues" / file.parent.name, str(back)) is not None


class DirectoryConsumer(Holder, Consumer):
    """Takes messages from some queues. The queues take turns at being first."""

    def __init__(self, broker: DirectoryBroker, queues: Sequence[str], consumer_id: str) -> None:
        super().__init__(broker, consumer_id)
        self._queues = deque(queues)
        self._watch = Watch(broker.root, broker.lease_duration)
        self._woken = threading.Event()
        self._closed = False

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to ``limit`` messages, looking every ``directory_poll_interval`` seconds for the first."""
        deadline = time.monotonic() + timeout
        with self._broker.reachable():
            while not (taken := self._take_due(limit)):
                left = deadline - time.monotonic()
                if left <= 0 or self._woken.wait(min(self._broker.poll_interval, left)):
                    break
        self._woken.clear()
        self._queues.rotate(-1)
        return taken

    def _take_due(self, limit: int) -> list[Delivery]:
        if self._closed:
            return []
        self._lease.renew()
        self._watch.return_messages_of_the_dead()
        taken: list[Delivery] = []
        for queue in self._queues:
            for file in self._broker.first_due(queue, limit - len(taken)):
                name = Name.of(file)
                if received := self._take(file, deliveries=name.deliveries + 1, mark=name.mark):
                    taken.append(received)
        return taken

    def begin(self, tags: Sequence[Any]) -> None:
        """Mark deliveries as begun: if this consumer dies, they come back as orphans."""
        with self._broker.reachable():
            for tag in tags:
                file = self._held.get(tag)
                if file is None or (name := Name.of(file)).mark == ORPHAN:
                    continue
                begun = move(file, file.parent, str(Name(name.order, name.deliveries, BEGUN, name.token)))
                if begun is None:
                    del self._held[tag]
                else:
                    self._held[tag] = begun

    def renew(self) -> None:
        """Keep the lease."""
        with self._broker.reachable():
            self._lease.renew()

    def wake(self) -> None:
        """Make a waiting :meth:`receive` return."""
        self._woken.set()

    def set_queues(self, queues: Sequence[str]) -> None:
        """Receive from these queues from now on."""
        self._queues = deque(queues)

    def close(self) -> None:
        """Give back what is held, uncounted."""
        if not self._closed:
            self._closed = True
            self._broker.quietly(give_back, self._broker.root, self._directory, counted=False)


class DirectorySuccession(Holder, Succession):
    """What a dead consumer held, taken over under a lease of its own."""

    def __init__(self, broker: DirectoryBroker, consumer_id: str) -> None:
        super().__init__(broker, f"succession {token()}")
        self._deliveries: list[Delivery] = []
        dead = broker.root / "held" / directory_name(consumer_id)
        self._lease.renew()
        for file in sorted(dead.glob("=*/*")):
            name = Name.of(file)
            mark = ORPHAN if name.mark == BEGUN else name.mark
            if received := self._take(file, deliveries=name.deliveries, mark=mark):
                self._deliveries.append(replace(received, redelivered=True))
        give_back(broker.root, dead, counted=True)

    def held(self) -> list[Delivery]:
        """Return what was taken over and is not settled."""
        return [delivery for delivery in self._deliveries if delivery.tag in self._held]

    def close(self) -> None:
        """Requeue what was not settled."""
        self._broker.quietly(give_back, self._broker.root, self._directory, counted=True)


def first_due(directory: Path, limit: int) -> list[Path]:
    """Return up to ``limit`` files of a queue that may be received now, in their order."""
    now = f"{time.time_ns():020d}~"
    due = (file for file in messages_in(directory) if file.name < now)
    return heapq.nsmallest(limit, due, key=lambda file: file.name)


def _removed(file: Path) -> bool:
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True
