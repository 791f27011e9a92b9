"""Messages that a consumer keeps for itself: what it has begun, and what it runs for long.

A copy goes into a queue of the consumer's own, and from there comes back to it; the message itself is acknowledged.
While the consumer lives, nobody else sees the copy. When it dies, whoever saw that takes the copies over; if nobody
does, they expire after some seconds and come to the front of their queue: begun ones as orphans.

Every copy is replaced by a new one before it could expire. That also keeps RabbitMQ from closing the channel of a task
that runs longer than its ``consumer_timeout`` (half an hour).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any

from tq_amqp import frames
from tq_amqp.channel import Channel
from tq_amqp.connection import Link
from tq_amqp.envelope import BEGUN, COUNT, HOLDER, SERIAL, rewrite, whole
from tq_amqp.frames import short
from tq_amqp.lane import Lane, Taken
from tq_amqp.tables import encode_table
from tq_amqp.topology import binding_arguments, exchange_arguments, queue_arguments
from tq_amqp.wire import Wire

#: Milliseconds after which a copy that is in nobody's hands comes to the front of its queue.
TTL = 10_000
#: Seconds after which a copy is replaced.
_REFRESH = 3.0
#: Milliseconds without a consumer after which the queue goes; everything in it has expired long before.
_EXPIRES = 120_000


def keep_of(consumer_id: str) -> str:
    """Name the queue, and the exchange, in which a consumer keeps messages."""
    if len(consumer_id.encode("utf-8", "surrogatepass")) > 200:
        consumer_id = hashlib.sha256(consumer_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"tq.begun.{consumer_id}"


def keep_arguments() -> dict[str, Any]:
    """Return the ``x-`` arguments of the queue. A copy's routing key names the front it comes to when it expires."""
    return {"x-message-ttl": TTL, "x-expires": _EXPIRES, "x-dead-letter-exchange": ""}


class Keep:
    """What one consumer keeps. Belongs to its thread.

    Args:
        link: the way to RabbitMQ.
        consumer_id: of the consumer.
    """

    def __init__(self, link: Link, consumer_id: str) -> None:
        self._link = link
        self.name = keep_of(consumer_id)
        self._lane: Lane | None = None
        self._kept: dict[int, tuple[Taken, float]] = {}
        self._gone: dict[int, None] = {}

    # the queue

    def _open(self, wire: Wire) -> Lane:
        lane = self._lane
        if lane is not None and lane.channel.wire is wire and lane.channel.closed is None:
            return lane
        until = monotonic() + self._link.options.answer_timeout
        channel: Channel = wire.open_channel(until)
        channel.cast(frames.EXCHANGE_DECLARE, exchange_arguments(self.name, "fanout", auto_delete=True))
        channel.cast(frames.QUEUE_DECLARE, queue_arguments(self.name, arguments=keep_arguments()))
        channel.cast(frames.QUEUE_BIND, binding_arguments(self.name, self.name, ""))
        channel.cast(frames.BASIC_CONSUME, b"\x00\x00" + short(self.name) + short("keep") + b"\x00" + encode_table({}))
        channel.answers(4, until)
        lane = self._lane = Lane(self.name, "", channel)
        for serial, (taken, at) in self._kept.items():
            taken.lane, taken.number = lane, 0
            self._kept[serial] = taken, at
        return lane

    def resume(self, wire: Wire) -> None:
        """Take the copies back into the hand after the connection was lost.

        Raises:
            Refused, Broken: they cannot be had.
        """
        if self._kept:
            self._open(wire)
            self._send(wire, list(self._kept))  # what expired meanwhile comes to others only to be returned to us

    # what is kept

    def __contains__(self, serial: int) -> bool:
        return serial in self._kept

    def add(self, wire: Wire, taken: Iterable[tuple[int, Taken]], *, begun: bool) -> None:
        """Keep messages; their originals are acknowledged at the same time. Sent with what is sent next.

        Args:
            wire: of the consumer.
            taken: the messages by the consumer's numbers.
            begun: whether they must not be run again.

        Raises:
            Refused, Broken: the queue cannot be made.
        """
        lane = self._open(wire)
        serials = []
        for serial, one in taken:
            if serial in self._kept or not one.movable:
                continue
            if begun:
                one.begun = True
            one.target = one.queue
            origin, number = one.lane, one.number
            one.lane, one.number = lane, 0
            self._kept[serial] = one, 0.0
            serials.append(serial)
            origin.ack([number])
        self._send(wire, serials)

    def _send(self, wire: Wire, serials: Sequence[int]) -> None:
        assert self._lane is not None
        pieces: list[frames.Piece] = []
        now = monotonic()
        for serial in serials:
            one, _ = self._kept[serial]
            message = one.read.message
            assert message is not None
            own = {**one.read.own, HOLDER: self.name, SERIAL: serial}
            if one.begun:
                own[BEGUN] = True
            elif BEGUN not in own:
                own[COUNT] = one.count + 1  # whoever gets it gets it because we died
            arguments = frames.publish_arguments(self.name, f"tq.front.{one.queue}", mandatory=False)
            properties = rewrite(one.read.properties, own)
            frames.add_message(pieces, self._lane.channel.number, arguments, properties, message.body, wire.frame_max)
            self._kept[serial] = one, now
        wire.queue_all(pieces)

    def forget(self, serials: Iterable[int]) -> None:
        """Note that these have ended. A copy that is still to come is acknowledged when it comes."""
        for serial in serials:
            self._kept.pop(serial, None)

    def tend(self, wire: Wire) -> None:
        """Take in copies that came, and replace old ones. Called every second or two.

        Raises:
            Refused, Broken: they cannot be replaced.
        """
        if self._lane is None or (not self._kept and not self._lane.channel.contents):
            return
        lane = self._open(wire)
        self.collect()
        old = monotonic() - _REFRESH
        due = [serial for serial, (_, at) in self._kept.items() if at < old]
        if due:
            self._send(wire, due)
        wire.flush(monotonic() + self._link.options.answer_timeout)
        lane.channel.check()

    def collect(self) -> None:
        """Take in the copies that came."""
        lane = self._lane
        if lane is None or not lane.channel.contents:
            return
        superseded = []
        for copy in lane.collect():
            entry = self._kept.get(whole(copy.read.own.get(SERIAL), -1))
            if entry is None:
                superseded.append(copy.number)
                continue
            taken, _ = entry
            if taken.number:
                superseded.append(taken.number)
            taken.number = copy.number
        lane.ack(superseded)

    def delete(self, wire: Wire) -> None:
        """Remove the queue, and with it the exchange; nothing may be kept any more.

        Raises:
            Refused, Broken: it could not be removed; it goes by itself later.
        """
        if self._lane is not None and self._lane.channel.wire is wire and wire.fault is None:
            until = monotonic() + 1.0
            self._lane.channel.replies.clear()
            self._lane.channel.call(frames.QUEUE_DELETE, b"\x00\x00" + short(self.name) + b"\x00", until)
