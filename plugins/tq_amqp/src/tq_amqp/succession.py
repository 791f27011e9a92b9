"""What a dead consumer left behind: what it kept for itself. The rest RabbitMQ has given to others already."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from tq_amqp import frames
from tq_amqp.channel import Channel, Refused, together
from tq_amqp.connection import Link
from tq_amqp.envelope import BEGUN
from tq_amqp.frames import short
from tq_amqp.holding import Holding, Move
from tq_amqp.keeping import keep_of
from tq_amqp.lane import Lane, Taken
from tq_amqp.topology import queue_arguments
from tq_amqp.wire import Broken, Wire
from tq_core.contracts.broker import Settlement, Succession
from tq_core.errors import BrokerError, BrokerUnavailable
from tq_core.message import Delivery, Message

#: Seconds within which the server notices that a process is gone.
_NOTICED = 2.0


class AMQPSuccession(Succession):
    """The copies that a dead consumer kept.

    Args:
        link: the way to RabbitMQ.
        holding: gives them their endings.
        consumer_id: of the dead consumer.

    Raises:
        BrokerUnavailable, BrokerError: RabbitMQ does not hand them over.
    """

    def __init__(self, link: Link, holding: Holding, consumer_id: str) -> None:
        self._link = link
        self._holding = holding
        self._name = keep_of(consumer_id)
        self._wire: Wire = link.open(title=f"heir of {consumer_id}")
        self._held: dict[int, Taken] = {}
        self._closed = False
        try:
            self._take()
        except Refused as error:
            if error.code != 404:
                link.discard(self._wire)
                raise BrokerError(f"{link}: what {consumer_id} kept cannot be taken over: {error}") from error
        except Broken as error:
            link.discard(self._wire)
            raise BrokerUnavailable(f"{link}: {error}") from error

    def _take(self) -> None:
        until = monotonic() + self._link.options.answer_timeout
        channel: Channel = self._wire.open_channel(until)
        asked = queue_arguments(self._name, passive=True)
        noticed = monotonic() + _NOTICED
        while True:
            answer = channel.call(frames.QUEUE_DECLARE, asked, until)
            _, at = frames.read_short(answer, 4)
            ready, consumers = (
                int.from_bytes(answer[at : at + 4], "big"),
                int.from_bytes(answer[at + 4 : at + 8], "big"),
            )
            if not consumers or monotonic() > noticed:
                break
            self._wire.pump(0.01)
        lane = Lane(self._name, "", channel)
        get = b"\x00\x00" + short(self._name) + b"\x00"
        for _ in range(ready):
            channel.cast(frames.BASIC_GET, get)
        self._wire.flush(until)
        while len(channel.contents) + len(channel.replies) < ready:
            channel.check()
            self._wire.pump_until(until)
        channel.replies.clear()
        for place, one in enumerate(self._newest(lane)):
            self._held[place] = one

    def _newest(self, lane: Lane) -> list[Taken]:
        """Return one copy of each message; there may be an old one beside the new one."""
        copies: dict[Any, Taken] = {}
        old = []
        for one in lane.collect():
            if one.read.message is None:
                continue
            one.target = one.key.removeprefix("tq.front.")
            serial = one.serial
            if serial in copies:
                old.append(copies[serial].number)
            copies[serial] = one
        lane.ack(old)
        return list(copies.values())

    def held(self) -> list[Delivery]:
        return [
            Delivery(tag, one.queue, one.read.message, None, b"", max(1, one.count), True, BEGUN in one.read.own)
            for tag, one in self._held.items()
        ]

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        given = {one.tag: (one, self._held[one.tag]) for one in settlements if one.tag in self._held}
        try:
            self._holding.end(list(given.values()), follow_ups)
            until = monotonic() + self._link.options.answer_timeout
            together(list({one.lane.channel for _, one in given.values()}), until)
        except (Refused, Broken) as error:
            raise BrokerUnavailable(f"{self._link}: {error}") from error
        for tag in given:
            del self._held[tag]
        return [one.tag for one in settlements if one.tag not in given]

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        # If this fails, they come to the front of their queues by themselves, some seconds later.
        with suppress(BrokerError, Refused, Broken):
            if self._held:
                self._holding.move([Move(one, one.count) for one in self._held.values()])
        self._held.clear()
        self._link.discard(self._wire)
