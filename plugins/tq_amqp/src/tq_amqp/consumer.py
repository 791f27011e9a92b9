"""Takes messages, and waits for them without asking all the time.

Never more is taken than was asked for, so that nothing waits here which somebody else could run. RabbitMQ offers
two ways: to fetch single messages, and to be sent them up to a bound. Many are taken as a stream that is ended at
its bound; few are fetched; and whoever waits lets the broker send one message of each queue, and stops that as soon
as one is there.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from tq_amqp.channel import Refused, together
from tq_amqp.connection import Link
from tq_amqp.envelope import BEGUN, COPY
from tq_amqp.fetching import fetch
from tq_amqp.holding import Holding, Move
from tq_amqp.keeping import Keep
from tq_amqp.lane import Lane, LaneChannel, Taken, in_order
from tq_amqp.sieve import Sieve
from tq_amqp.topology import Topology, front_of
from tq_amqp.wire import Broken, Wire
from tq_core.contracts.broker import Ack, Consumer, Settlement
from tq_core.errors import BrokerError, BrokerUnavailable, PublishError
from tq_core.message import Delivery, Message

logger = logging.getLogger(__name__)

#: Seconds without a word from the broker after which it is asked whether it lives.
_ASK_AFTER = 2.0
#: Most messages one stream brings.
_MOST = 1000
#: Seconds after which a queue that could not be used is tried again.
_AGAIN = 10
#: Seconds after which a message that is still run is kept apart; RabbitMQ closes channels after half an hour.
_LONG = 300.0
#: What RabbitMQ says of a quorum queue without a process that leads it.
_NO_PROCESS = "noproc"
#: Messages that are awaited, after the queues were found empty, before somebody looks again what is in them.
_CALM = 8


class AMQPConsumer(Consumer):
    """A consumer of some queues.

    Args:
        link: the way to RabbitMQ.
        topology: makes queues.
        holding: gives messages their endings.
        queues: names.
        consumer_id: unique among the living.

    Attributes:
        id: the ``consumer_id``.
    """

    def __init__(
        self, link: Link, topology: Topology, holding: Holding, queues: Sequence[str], consumer_id: str
    ) -> None:
        self._link = link
        self._topology = topology
        self._holding = holding
        self._keep = Keep(link, consumer_id)
        self.id = consumer_id
        self._names = list(dict.fromkeys(queues))
        self._first = 0
        self._wire: Wire | None = None
        self._lanes: dict[str, Lane] = {}
        self._held: dict[int, Taken] = {}
        self._barred: dict[str, float] = {}
        self._sieve = Sieve(link, topology, self._keep, holding, self._move)
        self._strays: list[Taken] = []
        self._serial = itertools.count(1).__next__
        self._calm = 0
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._woken = False
        self._closed = False
        self._pid = os.getpid()
        self._open()

    # the connection

    def _open(self) -> Wire:
        """Return the wire, a new one where the old is lost."""
        if self._wire is not None and self._wire.fault is None:
            return self._wire
        self._lose()
        wire = self._link.open(heartbeat=self._link.options.heartbeat, title=self.id)
        wire.watch(self._bell.fileno())
        self._wire = wire
        self._keep.resume(wire)
        return wire

    def _lose(self) -> None:
        """Forget all that was held over a connection that is lost: the broker gives it to others."""
        if self._wire is not None:
            self._link.discard(self._wire)
            self._wire = None
        self._lanes.clear()
        # What it keeps for itself waits for it in the broker.
        self._held = {serial: taken for serial, taken in self._held.items() if serial in self._keep}
        self._sieve.forget()
        self._strays.clear()

    def _lane(self, name: str) -> Lane:
        """Return the lane of a queue, a new one where the broker closed the old one's channel."""
        lane = self._lanes.get(name)
        if lane is not None and lane.channel.closed is None:
            return lane
        if lane is not None:
            self._lose_lane(lane)
            self._topology.forget(name, front_of(name))
        wire = self._open()
        self._topology.ensure(name)
        front = self._topology.ensure_front(name)
        channel = wire.open_channel(self._deadline(), LaneChannel)
        together([channel], self._deadline())
        lane = self._lanes[name] = Lane(name, front, channel, dict(self._topology.spec(name).consumer_arguments))
        return lane

    def _usable(self, names: Sequence[str]) -> list[Lane]:
        """Return the lanes of queues; one that cannot be used does not stop the others.

        Raises:
            BrokerUnavailable: RabbitMQ cannot be reached.
            BrokerError: none of them can be used.
        """
        lanes = []
        trouble: BrokerError | None = None
        now = monotonic()
        for name in names:
            if self._barred.get(name, 0.0) > now and len(names) > 1:
                continue
            try:
                lanes.append(self._lane(name))
                self._barred.pop(name, None)
            except BrokerUnavailable:
                raise
            except BrokerError as error:
                trouble = error
                if len(names) > 1:
                    logger.error("%s. It is tried again in %d s, the other queues go on", error, _AGAIN)
                    self._barred[name] = now + _AGAIN
        if trouble is not None and not lanes:
            raise trouble
        return lanes

    def _lose_lane(self, lane: Lane) -> None:
        lane.channel.wire.forget(lane.channel)
        self._lanes.pop(lane.queue, None)
        for serial in [serial for serial, taken in self._held.items() if taken.lane is lane]:
            del self._held[serial]
        self._sieve.forget(lane)
        self._strays = [taken for taken in self._strays if taken.lane is not lane]

    def _deadline(self) -> float:
        return monotonic() + self._link.options.answer_timeout

    def _told(self, error: Broken | Refused) -> BrokerError:
        """Return what to raise."""
        if isinstance(error, Broken):
            self._lose()
            return BrokerUnavailable(f"{self._link}: {error}. What was held goes to others")
        for lane in [lane for lane in self._lanes.values() if lane.channel.closed is not None]:
            self._lose_lane(lane)
            self._topology.forget(lane.queue, lane.front)
        return BrokerError(f"{self._link} refused: {error}")

    # taking

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        deadline = monotonic() + timeout
        if self._closed:
            return []
        while True:
            holds = bool(self._held)
            try:
                taken = self._find(limit, deadline, look=timeout <= 0 or self._calm <= 0)
                break
            except (Broken, Refused) as error:
                told = self._told(error)
                # A quorum queue that somebody is just making cannot be asked yet: that costs the connection.
                if holds or _NO_PROCESS not in str(error) or monotonic() >= deadline:
                    raise told from error
        if self._woken:
            self._woken = False
            self._silence()
        return [self._deliver(one) for one in taken]

    def _find(self, limit: int, deadline: float, *, look: bool) -> list[Taken]:
        """Take what is there, or wait for the first message until the deadline."""
        self._tend()
        taken = self._take(limit, look=look)
        while not taken and not self._woken and (left := deadline - monotonic()) > 0:
            taken = self._wait(limit, left)
        return taken

    def _silence(self) -> None:
        with suppress(BlockingIOError):
            while self._bell.recv(4096):
                pass

    def _take(self, limit: int, *, look: bool) -> list[Taken]:
        """Return up to ``limit`` messages that are there.

        Args:
            limit: 1 or more.
            look: False leaves the queues alone, because they are known to have been empty a moment ago.
        """
        if not self._names:
            return []
        limit = min(limit, _MOST)
        taken = self._sieve.sift(self._strays[:limit])
        del self._strays[:limit]
        taken += self._sieve.ripe(limit - len(taken))
        while look and (room := limit - len(taken)) > 0:
            self._first = (self._first + 1) % len(self._names)
            lanes = self._usable(self._names[self._first :] + self._names[: self._first])
            fetched = fetch(lanes, room, self._link.options.answer_timeout)
            self._calm = 0 if fetched else _CALM
            fine = self._sieve.sift(fetched)
            taken += fine
            # What was suspect is at the front now, and comes with the next round.
            look = len(fine) < len(fetched)
        self._put_back(taken[limit:])
        return taken[:limit]

    def _move(self, moves: Sequence[Move]) -> None:
        """Put messages elsewhere: to the front of their queue, or where they wait for their time."""
        try:
            self._holding.move(moves)
        except PublishError as error:
            self._lose()  # the broker returns them all
            raise BrokerUnavailable(str(error)) from error

    def _put_back(self, surplus: Sequence[Taken]) -> None:
        """Return what there is no room for: behind what was returned before, and so before all others."""
        for one in surplus:
            if not one.movable:
                one.lane.reject(one.number)
        movable = [Move(one, one.count) for one in surplus if one.movable]
        if movable:
            self._move(movable)
        if surplus:
            self._calm = 0

    def _wait(self, limit: int, left: float) -> list[Taken]:
        """Wait until there is something, for ``left`` seconds at most."""
        wire = self._open()
        lanes = self._usable(self._names)
        for lane in lanes:
            lane.listen()
        wire.flush(self._deadline())
        deadline = monotonic() + left
        caught: list[Taken] = []
        ripe: list[Taken] = []
        try:
            while not caught and not self._woken:
                now = monotonic()
                left = min(deadline - now, _ASK_AFTER)
                if (due := self._sieve.due_in()) is not None:
                    left = min(left, due)
                if not wire.pump(left):
                    self._silence()
                for lane in lanes:
                    lane.channel.check()
                    if lane.channel.contents:
                        caught += lane.collect()
                ripe = self._sieve.ripe(limit)
                if caught or ripe or monotonic() >= deadline:
                    break
                self._tend()
        finally:
            for lane in lanes:
                lane.hush()
        if not caught:
            # Whatever was on its way is there when the broker has answered.
            together([lane.channel for lane in lanes], self._deadline())
            for lane in lanes:
                caught += lane.collect()
            self._calm = self._calm - 1 if caught else _CALM
        else:
            wire.flush(self._deadline())
            self._calm -= 1
        # Of a queue that has both, there may be more of the returned ones, which come first.
        mixed = {one.lane for one in caught if one.returned}
        self._put_back([one for one in caught if not one.returned and one.lane in mixed])
        caught = [one for one in caught if one.returned or one.lane not in mixed]
        taken = ripe + self._sieve.sift(caught)
        self._put_back(taken[limit:])
        return taken[:limit]

    def _deliver(self, one: Taken) -> Delivery:
        serial = self._serial()
        self._held[serial] = one
        read = one.read
        count = one.count
        orphaned = BEGUN in read.own
        again = count > 0 or one.suspect or orphaned
        copied = COPY in read.own
        return Delivery(serial, one.queue, read.message, read.defect, one.raw, count + 1, again, orphaned, copied)

    # ending

    def begin(self, tags: Sequence[Any]) -> None:
        self._keep_them([tag for tag in tags if tag in self._held], begun=True)

    def _keep_them(self, serials: Sequence[int], *, begun: bool) -> None:
        if not serials:
            return
        try:
            wire = self._open()
            self._keep.add(
                wire, [(serial, self._held[serial]) for serial in serials if serial in self._held], begun=begun
            )
            wire.flush(self._deadline())
        except (Broken, Refused) as error:
            raise self._told(error) from error

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        try:
            self._collect_strays()
            if self._wire is None and any(settlement.tag in self._keep for settlement in settlements):
                self._open()  # what it keeps for itself is still its own, and is taken back into the hand
            lost: list[Any] = []
            given: dict[int, tuple[Settlement, Taken]] = {}
            for settlement in settlements:
                taken = self._held.get(settlement.tag)
                if taken is None or settlement.tag in given:
                    lost.append(settlement.tag)
                else:
                    given[settlement.tag] = settlement, taken
            self._holding.end(list(given.values()), follow_ups)
        except (Broken, Refused) as error:
            raise self._told(error) from error
        self._keep.forget(given)
        for tag in given:
            self._held.pop(tag, None)
        if not all(isinstance(settlement, Ack) for settlement in settlements):
            self._calm = 0
        return lost

    def _collect_strays(self) -> None:
        """Look whether the connection lives; what came after a wait had ended is kept for the next one."""
        if self._wire is None:
            return
        if not self._wire.is_sound():
            self._lose()
            return
        self._keep.collect()
        for lane in list(self._lanes.values()):
            if lane.channel.closed is not None:
                self._lose_lane(lane)
            elif lane.channel.contents:
                self._strays += lane.collect()

    # upkeep

    def _tend(self) -> None:
        """Keep the connection alive, and find out when it is dead."""
        wire = self._open()
        self._collect_strays()
        if self._wire is None or wire.fault is not None:
            self._open()
            return
        wire.beat()
        if monotonic() - wire.heard_at > _ASK_AFTER and self._lanes:
            together([next(iter(self._lanes.values())).channel], self._deadline())

    def renew(self) -> None:
        try:
            self._tend()
            if self._strays:
                strays, self._strays = self._strays, []
                self._put_back(strays)
            self._keep.tend(self._open())
            late = monotonic() - _LONG
            self._keep_them([tag for tag, one in self._held.items() if 0 < one.at < late], begun=False)
        except (Broken, Refused) as error:
            raise self._told(error) from error

    def wake(self) -> None:
        self._woken = True
        with suppress(OSError):
            self._rope.send(b"\x00")

    def set_queues(self, queues: Sequence[str]) -> None:
        self._names = list(dict.fromkeys(queues))
        self._calm = 0
        self._first = 0

    def held(self, queue: str) -> int:
        """Return how many messages of a queue were handed out and not ended. May be called from any thread."""
        return sum(taken.queue == queue for taken in list(self._held.values()))

    def soon(self, queue: str) -> int:
        """Return how many messages of a queue wait here for their last milliseconds. May be called from any thread."""
        return sum(one.lane.queue == queue for one in self._sieve.waiting())

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._pid == os.getpid():
            with suppress(BrokerError, Broken, Refused):
                self._give_back()
            self._lose()
        self._bell.close()
        self._rope.close()

    def _give_back(self) -> None:
        """Return everything uncounted; what cannot be, the broker gives back by itself, and counts it."""
        if self._wire is None or not self._wire.is_sound():
            return
        self._collect_strays()
        rest = [*self._held.values(), *self._strays, *self._sieve.waiting()]
        self._held.clear()
        readable = [one for one in in_order(rest) if one.movable]
        if readable:
            self._move([Move(one, one.count, orphaned=one.begun) for one in readable])
        self._keep.forget(list(self._held))
        self._held.clear()
        self._keep.collect()
        self._keep.delete(self._wire)

    def fence(self) -> None:
        """Take everything from this consumer, because somebody succeeds it."""
        self._held.clear()
        self._closed = True
        if self._wire is not None:
            self._link.discard(self._wire)
