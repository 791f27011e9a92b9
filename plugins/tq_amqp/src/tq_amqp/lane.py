"""One queue as a consumer sees it: a channel, what was taken over it, and how that is acknowledged.

Each queue has a channel of its own, because an error closes a channel and gives back all that was taken over it. It
serves two queues in the broker: the queue itself, and the one of the messages that were given back, which come first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from tq_amqp import frames
from tq_amqp.channel import Channel
from tq_amqp.envelope import COUNT, DUE, SERIAL, Read, read, whole
from tq_amqp.frames import short
from tq_amqp.tables import encode_table

#: From so many messages on a stream is cheaper than fetching them one by one.
STREAM = 8
#: Seconds a stream waits for its first message, and for each further one.
_FIRST, _NEXT = 0.02, 0.002
#: First letter of the tags of consumers of returned messages.
_F = ord("f")
#: Bytes of a frame that tq's own headers may need.
_ROOM = 1024


@dataclass(slots=True, eq=False)
class Taken:
    """A message that was taken from the broker and is not acknowledged.

    Attributes:
        lane: where from.
        number: the delivery tag of its channel.
        suspect: the broker says that somebody had it before who did not say what became of it.
        read: what it says.
        raw: its header and body, where it cannot be read.
        key: the routing key it came with.
        target: the queue it is for, where that is not the lane's.
        at: when it was taken, monotonic seconds.
        begun: its present holder has begun it.
        movable: a copy of it can be made: it can be read, and its headers leave room for tq's own.
        returned: it stood among the returned messages.
    """

    lane: Lane
    number: int
    suspect: bool
    read: Read
    raw: bytes = b""
    key: str = ""
    target: str = ""
    at: float = 0.0
    begun: bool = False
    movable: bool = True
    returned: bool = False

    @property
    def queue(self) -> str:
        """The queue it is for."""
        return self.target or self.lane.queue

    @property
    def serial(self) -> int:
        """The number under which its holder kept it."""
        return whole(self.read.own.get(SERIAL), -1)

    @property
    def identity(self) -> str:
        """The task's id, "" where it cannot be read."""
        return self.read.message.id if self.read.message is not None else ""

    @property
    def count(self) -> int:
        """Deliveries before this one."""
        return whole(self.read.own.get(COUNT))

    @property
    def due(self) -> float:
        """Unix time in seconds before which it must not be handed out; 0 for at once."""
        return whole(self.read.own.get(DUE)) / 1000


class LaneChannel(Channel):
    """A channel that keeps the answers to fetching in their order, those that nothing is there among them."""

    def take_method(self, number: int, payload: bytes) -> None:
        if number == frames.BASIC_GET_EMPTY:
            self.contents.append((number, payload, b"", b""))
        else:
            super().take_method(number, payload)


class Lane:
    """A queue, its channel and what was taken over it. Owned by the consumer's thread.

    Args:
        queue: its name.
        front: name of the queue of returned messages.
        channel: open; a :class:`LaneChannel` where messages are fetched.
        arguments: of the consumers.

    Attributes:
        ready: messages by the name of the queue they are in, as far as is known from what was fetched last.
    """

    def __init__(self, queue: str, front: str, channel: Channel, arguments: dict[str, Any] | None = None) -> None:
        self.queue = queue
        self.front = front
        self.channel = channel
        self.ready = {queue: 0, front: 0}
        self.unacked: dict[int, None] = {}
        self._get = {name: b"\x00\x00" + short(name) + b"\x00" for name in (queue, front)}
        self._asked: deque[str] = deque()
        self._rung = 0
        self._open: list[str] = []
        self._arguments = encode_table(arguments or {})

    # taking

    def ask(self, name: str, count: int) -> None:
        """Ask for up to ``count`` messages of one of the two queues; :meth:`got` has them."""
        for _ in range(count):
            self._asked.append(name)
            self.channel.cast(frames.BASIC_GET, self._get[name])

    def got(self, deadline: float) -> list[Taken]:
        """Return what the broker gave for all that was asked for, and what else has come.

        Raises:
            Refused, Broken: it gave nothing.
        """
        self._await_answers(deadline)
        return self.collect()

    def _await_answers(self, deadline: float) -> None:
        channel = self.channel
        channel.wire.flush(deadline)
        while sum(one[0] != frames.BASIC_DELIVER for one in channel.contents) < len(self._asked):
            channel.check()
            channel.wire.pump_until(deadline)

    def stream(self, count: int, deadline: float) -> list[Taken]:
        """Take the first of the returned messages, and up to ``count`` of the queue, which should have as many.

        All of it is asked for at once. Where as many come, no answer has to be awaited: RabbitMQ sends no more until
        some of them are acknowledged, and hears before that that the stream has ended.

        Raises:
            Refused, Broken: the broker gives none.
        """
        channel, wire, contents = self.channel, self.channel.wire, self.channel.contents
        wanted = sum(one[0] == frames.BASIC_DELIVER for one in contents) + count + 1
        self.ask(self.front, 1)
        channel.limit(count)
        self._consume(self.queue, "q")
        self._await_answers(deadline)
        patience = _FIRST
        while len(contents) < wanted and wire.pump(patience):
            channel.check()
            if len(contents) > 1:
                patience = _NEXT
        complete = len(contents) >= wanted
        self.hush()
        if complete:
            wire.flush(deadline)
        else:
            # Others take from the queue, too. After the sign nothing more comes.
            channel.echo()
            channel.catch_up(deadline)
        taken = self.collect()
        self.ready[self.queue] = max(0, self.ready[self.queue] - len(taken)) if complete else 0
        return taken

    def listen(self) -> None:
        """Let the broker send one message of each of the two queues, as soon as there is one."""
        self.channel.limit(1)
        self._consume(self.front, "f")
        self._consume(self.queue, "q")

    def hush(self) -> None:
        """End what was begun by :meth:`listen`; sent with what is sent next. What is on its way comes all the same."""
        for tag in self._open:
            self.channel.cast(frames.BASIC_CANCEL, short(tag) + b"\x01")
        self._open.clear()

    def _consume(self, name: str, kind: str) -> None:
        """Start a consumer; the first letter of its tag tells which of the two queues a message is from."""
        self._rung += 1
        tag = f"{kind}{self._rung}"
        self._open.append(tag)
        # no-wait: a refusal closes the channel and is seen so
        self.channel.cast(frames.BASIC_CONSUME, b"\x00\x00" + short(name) + short(tag) + b"\x08" + self._arguments)

    def collect(self) -> list[Taken]:
        """Return what has come in, returned messages first."""
        contents: deque[tuple[int, bytes, bytes, bytes]] = self.channel.contents
        first: list[Taken] = []
        others: list[Taken] = []
        now = monotonic()
        room = self.channel.wire.frame_max - _ROOM
        while contents:
            number, arguments, header, body = contents.popleft()
            at = 4
            returned = False
            if number == frames.BASIC_DELIVER:
                returned = arguments[5] == _F
                at += 1 + arguments[4]
            elif self._asked:
                name = self._asked.popleft()
                returned = name == self.front
                if number == frames.BASIC_GET_EMPTY:
                    self.ready[name] = 0
                    continue
                self.ready[name] = int.from_bytes(arguments[-4:], "big")
            tag = int.from_bytes(arguments[at : at + 8], "big")
            suspect = arguments[at + 8] & 1 == 1
            self.unacked[tag] = None
            key = ""
            try:
                exchange, at = frames.read_short(arguments, at + 9)
                key, at = frames.read_short(arguments, at)
                found = read(header, body, self.queue, exchange, key)
            except ValueError as error:
                found = Read(None, f"its address cannot be read: {error}", {}, {})
            raw = b"" if found.message is not None else header + body
            movable = found.message is not None and len(header) < room
            taken = Taken(self, tag, suspect, found, raw, key, at=now, movable=movable, returned=returned)
            (first if returned else others).append(taken)
        return first + others if first else others

    # ending

    def reject(self, number: int) -> None:
        """Let the broker put a message back as it is; sent with what is sent next."""
        if number in self.unacked:
            del self.unacked[number]
            self.channel.cast(frames.BASIC_REJECT, number.to_bytes(8, "big") + b"\x01")

    def ack(self, numbers: Iterable[int]) -> None:
        """Acknowledge, in as few frames as the order allows; sent with what is sent next."""
        done = set(numbers)
        unacked = self.unacked
        upto = 0
        for number in unacked:
            if number not in done:
                break
            upto = number
        if upto:
            self.channel.cast(frames.BASIC_ACK, upto.to_bytes(8, "big") + b"\x01")
        for number in done:
            if number in unacked:
                del unacked[number]
                if number > upto:
                    self.channel.cast(frames.BASIC_ACK, number.to_bytes(8, "big") + b"\x00")


def in_order(taken: Sequence[Taken]) -> list[Taken]:
    """Return messages by queue and, in it, as they were taken."""
    return sorted(taken, key=lambda one: (one.queue, one.number))
