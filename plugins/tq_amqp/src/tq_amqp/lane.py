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
from tq_amqp.envelope import COUNT, DUE, SERIAL, Read, read, whole
from tq_amqp.frames import short
from tq_amqp.tables import encode_table
from tq_amqp.wire import Channel

#: From so many messages on a stream is cheaper than fetching them one by one.
STREAM = 8
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


class Lane:
    """A queue, its channel and what was taken over it. Owned by the consumer's thread.

    Args:
        queue: its name.
        front: name of the queue of returned messages.
        channel: open, with a prefetch of 1 for new consumers.
        arguments: of the consumers.

    Attributes:
        waiting: messages known to be in the queue, at least.
    """

    def __init__(self, queue: str, front: str, channel: Channel, arguments: dict[str, Any] | None = None) -> None:
        self.queue = queue
        self.front = front
        self.channel = channel
        self.waiting = 0
        self.unacked: dict[int, None] = {}
        self._get = {name: b"\x00\x00" + short(name) + b"\x00" for name in (queue, front)}
        self._bells: dict[str, str] = {}
        self._rung = 0
        self._arguments = encode_table(arguments or {})

    # taking

    def ask(self, name: str, count: int) -> None:
        """Ask for up to ``count`` messages of one of the two queues; :meth:`got` has them."""
        for _ in range(count):
            self.channel.cast(frames.BASIC_GET, self._get[name])

    def got(self, count: int, deadline: float) -> list[Taken]:
        """Return what the broker gave for ``count`` messages that were asked for.

        Raises:
            Refused, Broken: it gave none.
        """
        channel = self.channel
        channel.wire.flush(deadline)
        contents, replies = channel.contents, channel.replies
        # What a wait that has ended still brought is no answer.
        while sum(one[0] == frames.BASIC_GET_OK for one in contents) + len(replies) < count:
            channel.check()
            channel.wire.pump_until(deadline)
        if replies:
            self.waiting = 0
            replies.clear()
        return self.collect()

    def stream(self, count: int, deadline: float) -> list[Taken]:
        """Return up to ``count`` messages of the queue, of which at least as many should be there.

        Raises:
            Refused, Broken: the broker gives none.
        """
        channel, wire = self.channel, self.channel.wire
        self._rung += 1
        tag = f"s{self._rung}"
        channel.cast(frames.BASIC_QOS, b"\x00\x00\x00\x00" + count.to_bytes(2, "big") + b"\x00")
        self._consume(self.queue, tag)
        wire.flush(deadline)
        contents = channel.contents
        patience = 0.05  # for the first; then whoever else takes from the queue was faster
        while len(contents) < count and wire.pump(patience):
            channel.check()
            if contents:
                patience = 0.002
        self._cancel(tag)
        # The prefetch of the consumers to come; its answer tells that nothing more comes of this one.
        channel.cast(frames.BASIC_QOS, b"\x00\x00\x00\x00\x00\x01\x00")
        channel.answers(2, deadline)
        self.waiting = max(0, self.waiting - len(contents))
        return self.collect()

    def listen(self) -> None:
        """Let the broker send one message of each of the two queues, as soon as there is one."""
        for name in (self.front, self.queue):
            self._rung += 1
            tag = f"b{self._rung}"
            self._bells[tag] = name
            self._consume(name, tag)

    def hush(self) -> None:
        """End :meth:`listen`. What is on its way already comes all the same."""
        for tag in self._bells:
            self._cancel(tag)
        self._bells.clear()

    def _consume(self, name: str, tag: str) -> None:
        # no-wait: a refusal closes the channel and is seen so
        self.channel.cast(frames.BASIC_CONSUME, b"\x00\x00" + short(name) + short(tag) + b"\x08" + self._arguments)

    def _cancel(self, tag: str) -> None:
        self.channel.cast(frames.BASIC_CANCEL, short(tag) + b"\x01")

    def collect(self) -> list[Taken]:
        """Return what has come in."""
        contents: deque[tuple[int, bytes, bytes, bytes]] = self.channel.contents
        taken = []
        key = ""
        now = monotonic()
        while contents:
            number, arguments, header, body = contents.popleft()
            at = 4
            if number == frames.BASIC_DELIVER:
                at += 1 + arguments[4]
            tag = int.from_bytes(arguments[at : at + 8], "big")
            suspect = arguments[at + 8] & 1 == 1
            self.unacked[tag] = None
            try:
                exchange, at = frames.read_short(arguments, at + 9)
                key, at = frames.read_short(arguments, at)
                found = read(header, body, self.queue, exchange, key)
            except ValueError as error:
                found = Read(None, f"its address cannot be read: {error}", {}, {})
            if number == frames.BASIC_GET_OK:
                self.waiting = int.from_bytes(arguments[at : at + 4], "big")
            raw = b"" if found.message is not None else header + body
            movable = found.message is not None and len(header) < self.channel.wire.frame_max - _ROOM
            taken.append(Taken(self, tag, suspect, found, raw, key, at=now, movable=movable))
        return taken

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
