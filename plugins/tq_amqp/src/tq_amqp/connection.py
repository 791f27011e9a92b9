"""The way to a RabbitMQ: opens wires, publishes with confirms, survives cuts.

What the rest of the plugin stands on. One wire belongs to one thread at a time: consumers have their own
(:meth:`Link.open`), publishers borrow one (:meth:`Link.borrow`, :meth:`Link.publish`).
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeVar

from tq_amqp import frames
from tq_amqp.address import Address
from tq_amqp.channel import Channel, Refused
from tq_amqp.connecting import Unreachable, open_wire
from tq_amqp.options import ConnectionOptions
from tq_amqp.wire import Broken, Wire
from tq_core.errors import BrokerError, BrokerUnavailable, TQError

_Answer = TypeVar("_Answer")

#: Seconds for which a wire that was heard need not be looked at again.
_JUST_HEARD = 0.005

#: A message that is ready to be published: exchange, routing key, properties as they stand on the wire, body.
Parcel = tuple[str, str, bytes, bytes]


class ConfirmingChannel(Channel):
    """A channel on which the server confirms what is published, and returns what it cannot place.

    Attributes:
        unconfirmed: what was published and not confirmed, by the server's numbers.
    """

    def __init__(self, wire: Wire, number: int) -> None:
        super().__init__(wire, number)
        self._published = 0
        self._returned: list[tuple[bytes, bytes, bytes]] = []
        self._refused: list[int] = []
        self.unconfirmed: dict[int, None] = {}

    def take_method(self, number: int, payload: bytes) -> None:
        if number not in (frames.BASIC_ACK, frames.BASIC_NACK):
            super().take_method(number, payload)
            return
        tag = int.from_bytes(payload[4:12], "big")
        waiting = self.unconfirmed
        if payload[12] & 1:  # this one and all before it
            done = []
            for one in waiting:
                if one > tag:
                    break
                done.append(one)
        else:
            done = [tag] if tag in waiting else []
        for one in done:
            del waiting[one]
        if number == frames.BASIC_NACK:
            self._refused += done

    def take_content(self, arguments: bytes, header: bytes, body: bytes) -> None:
        self._returned.append((arguments, header, body))

    def publish(self, parcels: Sequence[Parcel], deadline: float) -> tuple[list[int], list[int]]:
        """Publish messages and wait until all are confirmed.

        Args:
            parcels: the messages.
            deadline: monotonic seconds.

        Returns:
            the places in ``parcels`` of those that came back because no queue takes them, and of those refused.

        Raises:
            Refused, Broken: not all are confirmed; see :attr:`unconfirmed`.
            ValueError: the name of an exchange or a routing key is too long; nothing was sent.
        """
        self.check()
        wire = self.wire
        first = self._published + 1
        pieces: list[frames.Piece] = []
        self._returned.clear()
        self._refused.clear()
        known: dict[tuple[str, str], bytes] = {}
        for exchange, key, properties, body in parcels:
            route = known.get((exchange, key))
            if route is None:
                route = known[exchange, key] = frames.publish_arguments(exchange, key)
            frames.add_message(pieces, self.number, route, properties, body, wire.frame_max)
        self._published += len(parcels)
        self.unconfirmed = dict.fromkeys(range(first, self._published + 1))
        wire.queue_all(pieces)
        wire.flush(deadline)
        while self.unconfirmed:
            self.check()
            wire.pump_until(deadline)
        return self._places(parcels), [one - first for one in self._refused]

    def _places(self, parcels: Sequence[Parcel]) -> list[int]:
        """Find out which messages came back: the server says where they should have gone, and what they were."""
        left: dict[tuple[str, str, bytes, bytes], list[int]] = {}
        if self._returned:
            for place, parcel in enumerate(parcels):
                left.setdefault(parcel, []).append(place)
        places = []
        for arguments, header, body in self._returned:
            _, at = frames.read_short(arguments, 6)
            exchange, at = frames.read_short(arguments, at)
            key, _ = frames.read_short(arguments, at)
            same = left.get((exchange, key, header[12:], body))
            if not same:  # the server wrote the properties in another way
                same = next((found for parcel, found in left.items() if found and parcel[:2] == (exchange, key)), [-1])
            places.append(same.pop(0))
        return [place for place in places if place >= 0]


class Outcome:
    """What became of published messages.

    Attributes:
        returned: places of those that no queue takes.
        refused: places of those that the server would not keep, because a queue is full or has no leader.
    """

    __slots__ = ("refused", "returned")

    def __init__(self, returned: Sequence[int] = (), refused: Sequence[int] = ()) -> None:
        self.returned = returned
        self.refused = refused


class Doubt(Exception):
    """Messages were not all confirmed.

    Attributes:
        maybe: True when the server may have them all the same.
        refusal: the server's own words, where it closed the channel for one of them.
    """

    def __init__(self, text: str, *, maybe: bool, refusal: Refused | None = None) -> None:
        super().__init__(text)
        self.maybe = maybe
        self.refusal = refusal


class Link:
    """The way to one RabbitMQ, or to several nodes of one. Any thread, any process: each gets wires of its own.

    Args:
        addresses: where it is; the first that answers is used.
        options: how to connect.
        title: what the server shows as the name of connections.
        unavailable: raised when it cannot be reached or does not answer.
        refused: raised when it answers with an error.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        options: ConnectionOptions,
        title: str = "tq",
        *,
        unavailable: type[TQError] = BrokerUnavailable,
        refused: type[TQError] = BrokerError,
    ) -> None:
        self.addresses = tuple(addresses)
        self.options = options
        self.title = title
        self.unavailable = unavailable
        self.refused = refused
        self._current = 0
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[ConfirmingChannel] = []
        self._wires: set[Wire] = set()

    def __str__(self) -> str:
        return ";".join(map(str, self.addresses))

    # wires

    def open(self, timeout: float | None = None, *, heartbeat: float = 0.0, title: str = "") -> Wire:
        """Open a wire that belongs to the caller, who closes it with :meth:`discard`.

        Args:
            timeout: seconds to wait at most; ``broker_connection_timeout`` by default.
            heartbeat: seconds between heartbeats, 0 for none. With them, call ``Wire.beat`` every few seconds.
            title: of the connection, after the link's own.

        Raises:
            unavailable: no node can be reached.
        """
        self._notice_fork()
        bound = self.options.connect_timeout if timeout is None else timeout
        deadline = monotonic() + bound
        said: list[str] = []
        for place, address in self._order():
            left = deadline - monotonic()
            if said and left <= 0:
                break
            try:
                wire = open_wire(
                    address,
                    self.options,
                    max(0.05, left),
                    heartbeat=heartbeat,
                    title=f"{self.title} {title}".rstrip(),
                )
            except Unreachable as error:
                said.append(f"{address}: {error}")
                continue
            self._current = place
            with self._lock:
                self._wires.add(wire)
            return wire
        raise self.unavailable(
            f"RabbitMQ cannot be reached at {'; '.join(said)}. Check that it runs, the URL, and that the user may use "
            "the virtual host"
        )

    def _order(self) -> list[tuple[int, Address]]:
        """Return the addresses in the order in which to try them, the one that served last first."""
        numbered = list(enumerate(self.addresses))
        strategy = self.options.failover
        if strategy == "shuffle":
            return random.sample(numbered, len(numbered))
        if callable(strategy):
            urls = {str(address): (place, address) for place, address in numbered}
            tried = [
                urls[url] for url, _ in zip(strategy(list(urls)), range(len(numbered)), strict=False) if url in urls
            ]
            return tried or numbered
        return numbered[self._current :] + numbered[: self._current]

    def discard(self, wire: Wire) -> None:
        """Close a wire. Never raises."""
        with self._lock:
            self._wires.discard(wire)
        wire.close()

    def _notice_fork(self) -> None:
        if self._pid != os.getpid():
            # The parent's wires are kept: collecting one would be harmless, using it would not.
            _INHERITED.append((self._idle, self._wires))
            self._reset()

    def ping(self, timeout: float) -> None:
        """Make sure that the server answers.

        Raises:
            unavailable: it does not, within ``timeout`` seconds.
        """
        wire = self.open(timeout, title="check")
        self.discard(wire)

    # publishing

    @contextmanager
    def borrow(self, deadline: float) -> Iterator[ConfirmingChannel]:
        """Lend a channel with confirms; of a wire that is known to have worked a moment ago.

        Args:
            deadline: until when a new one may be opened, monotonic seconds.

        Raises:
            unavailable: no node can be reached.
        """
        self._notice_fork()
        channel = self._take_idle()
        if channel is None:
            channel = self._new_channel(deadline)
        try:
            yield channel
        except BaseException:
            # Whatever was on the way on it is not to be mixed up with what comes next.
            self.discard(channel.wire)
            raise
        self._put_back(channel)

    def _take_idle(self) -> ConfirmingChannel | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                channel = self._idle.pop()
            wire = channel.wire
            heard = wire.fault is None and monotonic() - wire.heard_at < _JUST_HEARD
            if (heard or wire.is_sound()) and channel.closed is None:
                return channel
            self.discard(channel.wire)

    def _new_channel(self, deadline: float) -> ConfirmingChannel:
        left = max(0.05, deadline - monotonic())
        wire = self.open(min(left, self.options.connect_timeout), title="publisher")
        try:
            channel: ConfirmingChannel = wire.open_channel(deadline, ConfirmingChannel)
            channel.call(frames.CONFIRM_SELECT, b"\x00", deadline)
        except (Broken, Refused) as error:
            self.discard(wire)
            raise self.unavailable(f"{wire.name}: {error}") from error
        return channel

    def _put_back(self, channel: ConfirmingChannel) -> None:
        with self._lock:
            if self._pid == os.getpid() and len(self._idle) < max(1, self.options.pool_limit):
                self._idle.append(channel)
                return
        self.discard(channel.wire)

    def publish(
        self, parcels: Sequence[Parcel], deadline: float, *, before: Sequence[tuple[int, bytes]] = ()
    ) -> Outcome:
        """Publish messages and wait until the server has confirmed them.

        Args:
            parcels: the messages.
            deadline: monotonic seconds.
            before: methods that nothing answers, and their arguments, to be carried out first.

        Returns:
            what became of them; those in neither of its lists are in their queues.

        Raises:
            unavailable: no node can be reached; nothing was sent.
            Doubt: they are not all confirmed.
            ValueError: a name is too long; nothing was sent.
        """
        try:
            return self._publish(parcels, deadline, before)
        except Doubt as error:
            if error.maybe or error.refusal is not None or monotonic() >= deadline:
                raise
        # The connection had died since it last worked, and nothing went out on it. The others may be no better.
        with self._lock:
            for channel in self._idle:
                channel.wire.heard_at = 0.0
        return self._publish(parcels, deadline, before)

    def _publish(self, parcels: Sequence[Parcel], deadline: float, before: Sequence[tuple[int, bytes]]) -> Outcome:
        with self.borrow(deadline) as channel:
            wire = channel.wire
            if wire.blocked is not None:
                self._await_unblocked(channel, deadline)
            for number, arguments in before:
                channel.cast(number, arguments)
            try:
                returned, refused = channel.publish(parcels, deadline)
            except Refused as error:
                # One of them was refused with the channel; those before it may have been taken.
                raise Doubt(f"{wire.name} refused: {error}", maybe=len(parcels) > 1, refusal=error) from error
            except Broken as error:
                text = f"{wire.name}: {error}. Check the server and broker_publish_timeout"
                raise Doubt(text, maybe=error.sent) from error
        return Outcome(returned, refused)

    def _await_unblocked(self, channel: ConfirmingChannel, deadline: float) -> None:
        wire = channel.wire
        try:
            while wire.blocked is not None and (left := deadline - monotonic()) > 0:
                wire.pump(left)
        except Broken as error:
            raise Doubt(f"{wire.name}: {error}", maybe=False) from error
        if wire.blocked is not None:
            raise Doubt(f"{wire.name} blocks publishers: {wire.blocked}. Free its memory or disk", maybe=False)

    # methods

    def call(self, work: Callable[[Channel, float], _Answer], timeout: float | None = None) -> _Answer:
        """Let a function work on a channel of its own.

        Args:
            work: called with the channel and a deadline (monotonic seconds).
            timeout: seconds it may take; ``answer_timeout`` by default.

        Raises:
            unavailable: no node can be reached, or the connection was lost.
            Refused: the server refused something and closed the channel.
        """
        deadline = monotonic() + (self.options.answer_timeout if timeout is None else timeout)
        with self.borrow(deadline) as lent:
            wire = lent.wire
            try:
                channel: Channel = wire.open_channel(deadline)
                try:
                    answer = work(channel, deadline)
                finally:
                    if channel.closed is None:
                        channel.close(deadline)
                    else:
                        wire.flush(deadline)
                        wire.forget(channel)
            except Broken as error:
                raise self.unavailable(f"{wire.name}: {error}. Check the server") from error
            except Refused as error:
                refusal = error
            else:
                return answer
        raise refusal  # outside: the wire it came on is sound

    def close(self) -> None:
        """Close the wires of this process. Never raises; may be called twice."""
        if self._pid != os.getpid():
            self._notice_fork()
            return
        with self._lock:
            wires, self._wires, self._idle = self._wires, set(), []
        for wire in wires:
            wire.close()


#: What was inherited over a fork, kept for ever.
_INHERITED: list[Any] = []
