"""Looks at queues, counts and empties them."""

from __future__ import annotations

import time

from tq_amqp import frames
from tq_amqp.channel import Channel, Refused
from tq_amqp.connection import Link
from tq_amqp.delays import Delays, queue_of
from tq_amqp.envelope import COUNT, DUE, Read, read, whole
from tq_amqp.frames import short
from tq_amqp.topology import Topology, count_of, front_of, queue_arguments
from tq_core.contracts.broker import QueueDepth
from tq_core.errors import BrokerError
from tq_core.message import Delivery

#: Seconds between two looks that must agree.
_MOMENT = 0.003
#: Spans in milliseconds that may end between two looks.
_SOON = 2_000


class Inspection:
    """Looks at queues from outside. Any thread.

    Args:
        link: the way to RabbitMQ.
        topology: knows what queues are like.
        delays: where messages wait for their time.
    """

    def __init__(self, link: Link, topology: Topology, delays: Delays) -> None:
        self._link = link
        self._topology = topology
        self._delays = delays

    def ready(self, name: str) -> int | None:
        """Return how many messages a queue in the broker has ready, None when there is no such queue.

        Raises:
            BrokerUnavailable, BrokerError: RabbitMQ does not say.
        """
        try:
            return self._link.call(
                lambda channel, until: count_of(
                    channel.call(frames.QUEUE_DECLARE, queue_arguments(name, passive=True), until)
                )
            )
        except Refused as error:
            if error.code == 404:
                return None
            raise BrokerError(f"{self._link}: the queue {name!r} cannot be looked at: {error}") from error

    def depth(self, queue: str, held: int, soon: int) -> QueueDepth:
        """See :meth:`tq_core.contracts.broker.Broker.depth`.

        Args:
            queue: its name.
            held: messages of it that consumers of this process hold.
            soon: messages of it that they keep for the last milliseconds before their time.
        """
        ready, parked, moving = self._counted(queue)
        while moving:
            # One that goes from queue to queue is in neither for a moment: what was seen twice is true.
            time.sleep(_MOMENT)
            before = ready, parked
            ready, parked, moving = self._counted(queue)
            moving = moving and (ready, parked) != before
        return QueueDepth(ready, parked + soon, held)

    def _counted(self, queue: str) -> tuple[int, int, bool]:
        """Return how many messages are ready and parked, and whether some may just be moving."""
        waiting = self._delays.counts(queue)
        ready = self.ready(queue)
        if ready is None:
            return 0, 0, False
        return ready + (self.ready(front_of(queue)) or 0), sum(waiting.values()), any(span < _SOON for span in waiting)

    def purge(self, queue: str) -> int:
        """See :meth:`tq_core.contracts.broker.Broker.purge`."""
        dropped = self._delays.purge(queue)
        for name in (queue, front_of(queue)):
            try:
                dropped += self._link.call(
                    lambda channel, until, name=name: int.from_bytes(  # type: ignore[misc]  # bound per turn
                        channel.call(frames.QUEUE_PURGE, b"\x00\x00" + short(name) + b"\x00", until)[4:8], "big"
                    )
                )
            except Refused as error:
                if error.code != 404:
                    raise BrokerError(f"{self._link}: the queue {name!r} cannot be purged: {error}") from error
        return dropped

    def peek(self, queue: str, limit: int) -> list[Delivery]:
        """See :meth:`tq_core.contracts.broker.Broker.peek`."""
        seen: list[Read] = []
        for name in (front_of(queue), queue):
            seen += self._look(name, queue, limit - len(seen))
        if len(seen) < limit:
            parked: list[Read] = []
            for span, count in self._delays.counts(queue).items():
                if count:
                    parked += self._look(queue_of(queue, span), queue, limit - len(seen))
            seen += sorted(parked, key=lambda one: whole(one.own.get(DUE)))
        return [
            Delivery(None, queue, one.message, one.defect, b"", whole(one.own.get(COUNT)) + 1) for one in seen[:limit]
        ]

    def _look(self, name: str, queue: str, limit: int) -> list[Read]:
        """Take messages out of a queue and give them back."""
        if limit <= 0:
            return []

        quorum = self._topology.kind(queue) == "quorum"

        def look(channel: Channel, until: float) -> list[Read]:
            asked = b"\x00\x00" + short(name) + b"\x00"
            contents = channel.contents
            count = limit
            # A quorum queue lines up what is given back behind what was given back before. So all of that is taken, to
            # be given back in its order.
            while not channel.replies and (count == limit or (quorum and contents[-1][1][12] & 1)):
                wanted = len(contents) + count
                for _ in range(count):
                    channel.cast(frames.BASIC_GET, asked)
                channel.wire.flush(until)
                while len(contents) + len(channel.replies) < wanted:
                    channel.check()
                    channel.wire.pump_until(until)
                count = limit + 1
            found = []
            for _, arguments, header, body in contents:
                exchange, at = frames.read_short(arguments, 13)
                key, _ = frames.read_short(arguments, at)
                found.append(read(header, body, queue, exchange, key))
                channel.cast(frames.BASIC_NACK, arguments[4:12] + b"\x02")
            return found[:limit]

        try:
            return self._link.call(look)
        except Refused as error:
            if error.code == 404:
                return []
            raise BrokerError(f"{self._link}: the queue {name!r} cannot be looked at: {error}") from error
