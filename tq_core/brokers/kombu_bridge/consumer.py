"""Takes messages from a transport and gives them their endings."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tq_core import clock
from tq_core.brokers.kombu_bridge.envelope import Unreadable, read
from tq_core.brokers.kombu_bridge.link import Link
from tq_core.brokers.kombu_bridge.sending import send, send_back, send_to_the_dead
from tq_core.brokers.kombu_bridge.traits import Traits
from tq_core.contracts.broker import Ack, Broker, Bury, Consumer, Park, Requeue, Settlement, Succession
from tq_core.errors import BrokerError
from tq_core.message import Delivery, Message

logger = logging.getLogger("tq.broker.kombu")

#: Seconds until the second look into empty queues; each further pause is twice as long, up to the transport's.
_FIRST_PAUSE = 0.005


@dataclass(slots=True)
class Held:
    """A message in a consumer's hands.

    Attributes:
        queue: it came from.
        message: it; None when its envelope cannot be read.
        defect: why not.
        raw: the envelope then.
        behind: deliveries before this one.
        redelivered: somebody may have run it.
        receipt: kombu's tag; None when the transport has nothing to be told.
        channel: it was received on.
        begun: acknowledged because its run started.
        moved: its copy is where it belongs, and only the acknowledgement is missing.
    """

    queue: str
    message: Message | None
    defect: str | None
    raw: bytes
    behind: int
    redelivered: bool
    receipt: Any
    channel: Any
    begun: bool = False
    moved: bool = False

    def delivery(self, tag: int) -> Delivery:
        """Return it as the core sees it."""
        return Delivery(tag, self.queue, self.message, self.defect, self.raw, self.behind + 1, self.redelivered)


class KombuConsumer(Consumer):
    """A consumer with a connection of its own.

    What must wait until it is due waits here: these transports keep no due times.

    Args:
        link: its connection.
        traits: of the transport.
        queues: names.
    """

    def __init__(self, link: Link, traits: Traits, queues: Sequence[str]) -> None:
        self._link = link
        self._traits = traits
        self._queues = deque(dict.fromkeys(queues))
        self._held: dict[int, Held] = {}
        self._parked: list[tuple[float, int, Held]] = []
        self._tags = itertools.count(1)
        self._settled: set[Any] = set()
        self._woken = threading.Event()
        self._closed = False
        self._pid = os.getpid()

    # taking

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        deadline = time.monotonic() + timeout
        pause = _FIRST_PAUSE
        while not self._closed:
            taken = self._take_due(limit)
            taken += self._take(limit - len(taken), lenient=bool(taken))
            if taken:
                self._queues.rotate(-1)
                return taken
            left = deadline - time.monotonic()
            if left <= 0 or self._woken.wait(min(left, pause, self._until_due())):
                break
            pause = min(2 * pause, self._traits.poll)
        self._woken.clear()
        return []

    def _until_due(self) -> float:
        return max(0.0, self._parked[0][0] - clock.now()) if self._parked else self._traits.poll

    def _take_due(self, limit: int) -> list[Delivery]:
        taken: list[Delivery] = []
        while self._parked and len(taken) < limit and self._parked[0][0] <= clock.now():
            _, _, held = heapq.heappop(self._parked)
            if not self._is_lost(held):
                taken.append(self._hold(held))
        return taken

    def _take(self, limit: int, *, lenient: bool) -> list[Delivery]:
        """Take what the transport has; an error is left for the next time when there is something to return."""
        taken: list[Delivery] = []
        try:
            for queue in self._queues:
                while len(taken) < limit:
                    held = self._get(queue)
                    if held is None:
                        break
                    taken.append(self._hold(held))
        except BrokerError:
            if not taken and not lenient:
                raise
        return taken

    def _get(self, queue: str) -> Held | None:
        channel = None
        receipt = None
        try:
            with self._link.reach(f"receiving from {queue!r}"):
                channel = self._link.open()
                self._link.declare(queue)
                received = channel.basic_get(queue, no_ack=False)
                if received is None:
                    return None
                receipt = received.delivery_tag
                found = read(received, queue)
        except Unreadable as error:
            return Held(queue, None, str(error), error.raw, 0, False, receipt, channel)
        return Held(queue, found.message, None, b"", found.behind, found.redelivered, receipt, channel)

    def _hold(self, held: Held) -> Delivery:
        tag = next(self._tags)
        self._held[tag] = held
        return held.delivery(tag)

    # ending

    def begin(self, tags: Sequence[Any]) -> None:
        for tag in tags:
            held = self._held.get(tag)
            if held is not None and not held.begun:
                self._acknowledge(held)
                held.begun = True

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        for message in follow_ups:
            with self._link.reach("publishing"):
                send(self._link, message)
        lost: list[Any] = []
        for ending in settlements:
            held = self._held.get(ending.tag)
            if held is None:
                # After an error the same endings come again, and those that were given are no losses.
                if ending.tag not in self._settled:
                    lost.append(ending.tag)
                continue
            if self._is_lost(held):
                lost.append(ending.tag)
            else:
                self._end(held, ending)
                self._settled.add(ending.tag)
            del self._held[ending.tag]
        self._settled.clear()
        return lost

    def _is_lost(self, held: Held) -> bool:
        """Tell whether the server has given the message to somebody else: its connection is no more."""
        return self._traits.hold == "connection" and not held.begun and held.channel is not self._link.open()

    def _end(self, held: Held, ending: Settlement) -> None:
        if isinstance(ending, Park) and not held.begun:
            heapq.heappush(self._parked, (ending.until, ending.tag, held))
        elif isinstance(ending, Bury):
            self._bury(held, ending.reason, ending.traceback)
        elif isinstance(ending, Requeue) and not held.begun:
            self._give_back(held, counted=not ending.uncounted)
        elif isinstance(ending, (Ack, Requeue, Park)) and not held.begun:
            self._acknowledge(held)

    def _acknowledge(self, held: Held) -> None:
        if held.receipt is None or held.begun:
            return
        with self._link.reach("acknowledging"):
            self._link.open().basic_ack(held.receipt)

    def _give_back(self, held: Held, *, counted: bool) -> None:
        if self._traits.hold == "connection":
            with self._link.reach("giving a message back"):
                self._link.open().basic_reject(held.receipt, requeue=True)
            return
        if held.message is None:
            # kombu has no way to put back what is no message of its own.
            self._bury(held, f"unreadable message: {held.defect}", None)
            return
        if not held.moved:
            with self._link.reach("giving a message back"):
                send_back(self._link, held.message, held.behind + counted)
            held.moved = True
        self._acknowledge(held)

    def _bury(self, held: Held, reason: str, traceback: str | None) -> None:
        message = held.message
        if message is None:
            message = Message(
                str(uuid.uuid4()), {}, held.raw, "application/data", "binary", queue=held.queue, routing_key=held.queue
            )
        if not held.moved:
            with self._link.reach("burying a message"):
                send_to_the_dead(
                    self._link,
                    message,
                    reason=reason,
                    traceback=traceback,
                    deliveries=held.behind + 1,
                    at=clock.now(),
                )
            held.moved = True
        self._acknowledge(held)

    # the rest

    def renew(self) -> None:
        """Do nothing: no transport of kombu's has leases."""

    def wake(self) -> None:
        self._woken.set()

    def set_queues(self, queues: Sequence[str]) -> None:
        self._queues = deque(dict.fromkeys(queues))

    def close(self) -> None:
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        self._woken.set()
        held = [one for one in self._held.values() if not one.begun]
        held += [one for _, _, one in sorted(self._parked, key=lambda entry: entry[:2])]
        self._held.clear()
        self._parked.clear()
        if self._traits.hold != "connection":  # there, the end of the connection gives everything back
            self._give_all_back(held)
        self._link.close()

    def _give_all_back(self, held: list[Held]) -> None:
        stranded = 0
        for one in held:
            try:
                self._give_back(one, counted=False)
            except BrokerError as error:
                stranded += 1
                reason = error
        if stranded:
            fate = (
                "They are lost"
                if self._traits.hold == "worker"
                else "They come back after the transport's visibility timeout"
            )
            logger.error("%d messages could not be given back. %s. %s", stranded, fate, reason)


class NothingLeft(Succession):
    """What a dead consumer left behind: nothing that another process could take over.

    Either the server gives it back by itself, or it died with the process that held it.

    Args:
        broker: publishes what is to follow from the dead consumer's tasks.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def held(self) -> list[Delivery]:
        return []

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        self._broker.publish(follow_ups)
        return [ending.tag for ending in settlements]

    def close(self) -> None:
        pass
