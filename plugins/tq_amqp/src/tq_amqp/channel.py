"""A channel of a connection: methods with their answers, messages, and the server's refusal, which closes it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from tq_amqp import frames
from tq_amqp.frames import SIGNATURE, method, number_of, read_short

if TYPE_CHECKING:
    from tq_amqp.wire import Wire


class Refused(Exception):
    """The server refused a method and closed the channel for it.

    Attributes:
        code: AMQP's reply code: 403 no permission, 404 not found, 405 in use, 406 other arguments.
        text: the server's words.
        method: what it refused.
    """

    def __init__(self, code: int, text: str, method: int) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code
        self.text = text
        self.method = method


class Channel:
    """One channel of a wire.

    Attributes:
        number: its number.
        wire: the connection it is on.
        contents: messages that came in: method arguments, header and body, as they stood in their frames, after the
            number of the method.
        closed: why the server closed it, or None.
        cancelled: tags of consumers that the server has ended, because their queue is gone.
        prefetch: messages that a consumer started from now on is sent before it acknowledges some.
    """

    def __init__(self, wire: Wire, number: int) -> None:
        self.wire = wire
        self.number = number
        self.contents: deque[tuple[int, bytes, bytes, bytes]] = deque()
        self.replies: deque[tuple[int, bytes]] = deque()
        self.cancelled: list[str] = []
        self.closed: Refused | None = None
        self.prefetch = 0
        self._echoes = 0
        self._method = b""
        self._header = b""
        self._body = bytearray()
        self._left = 0

    # what comes in

    def take_method(self, number: int, payload: bytes) -> None:
        """Take a method frame."""
        if number == frames.CHANNEL_CLOSE:
            code = int.from_bytes(payload[4:6], "big")
            text, at = read_short(payload, 6)
            self.closed = Refused(code, text, number_of(*_two(payload, at)))
            self.wire.queue(method(self.number, frames.CHANNEL_CLOSE_OK))
        elif number == frames.BASIC_QOS_OK:
            self._echoes -= 1
        elif number == frames.BASIC_CANCEL:
            self.cancelled.append(read_short(payload, 4)[0])
        elif number == frames.CHANNEL_FLOW:
            self.wire.queue(method(self.number, frames.CHANNEL_FLOW_OK, payload[4:5]))
        else:
            self.replies.append((number, payload))

    def take_header(self, header: bytes) -> None:
        """Take the header frame of a message."""
        size = int.from_bytes(header[4:12], "big")
        if size:
            self._header = header
            self._left = size
        else:
            self.take_content(self._method, header, b"")

    def take_body(self, part: bytes) -> None:
        """Take a body frame."""
        self._left -= len(part)
        if self._left > 0:
            # One block that grows: a heap full of frames would not be given back to the system.
            self._body += part
            return
        if self._body:
            self._body += part
            part = bytes(self._body)
            self._body = bytearray()
        self.take_content(self._method, self._header, part)

    def take_content(self, arguments: bytes, header: bytes, body: bytes) -> None:
        """Take a whole message."""
        self.contents.append((SIGNATURE.unpack_from(arguments)[0], arguments, header, body))

    # what goes out

    def check(self) -> None:
        """Raise what the server said when it closed the channel, if it did.

        Raises:
            Refused: it did.
        """
        if self.closed is not None:
            raise self.closed

    def cast(self, number: int, arguments: bytes = b"") -> None:
        """Send a method that nothing answers, together with what is sent next."""
        self.wire.queue(method(self.number, number, arguments))

    def call(self, number: int, arguments: bytes, deadline: float) -> bytes:
        """Send a method and return the arguments of its answer, method number included.

        Raises:
            Refused: the server closed the channel instead.
            Broken: the connection is lost, or no answer came before the deadline (monotonic seconds).
        """
        self.check()
        self.cast(number, arguments)
        return self.answers(1, deadline)[0][1]

    def answers(self, count: int, deadline: float) -> list[tuple[int, bytes]]:
        """Wait for the answers to ``count`` methods that were cast, and return their numbers and arguments.

        Raises:
            Refused, Broken: as for :meth:`call`.
        """
        wire = self.wire
        replies = self.replies
        wire.flush(deadline)
        while len(replies) < count:
            if self.closed is not None:
                wire.flush(deadline)
                raise self.closed
            wire.pump_until(deadline)
        return [replies.popleft() for _ in range(count)]

    def limit(self, prefetch: int) -> None:
        """Bound what consumers are sent that are started from now on; sent with what is sent next."""
        if prefetch != self.prefetch:
            self.prefetch = prefetch
            self.echo()

    def echo(self) -> None:
        """Ask for a sign that all before it was carried out, for :meth:`catch_up`; sent with what is sent next."""
        self._echoes += 1
        self.cast(frames.BASIC_QOS, b"\x00\x00\x00\x00" + self.prefetch.to_bytes(2, "big") + b"\x00")

    def catch_up(self, deadline: float) -> None:
        """Wait for the sign that was asked for last.

        Raises:
            Refused, Broken: as for :meth:`call`.
        """
        wire = self.wire
        wire.flush(deadline)
        while self._echoes > 0:
            if self.closed is not None:
                wire.flush(deadline)
                raise self.closed
            wire.pump_until(deadline)

    def close(self, deadline: float) -> None:
        """Close the channel; the server gives back what was not acknowledged on it."""
        if self.closed is None and self.wire.fault is None:
            self.replies.clear()
            self.cast(frames.CHANNEL_CLOSE, b"\x00\xc8\x00\x00\x00\x00\x00")
            with suppress(Refused):
                while self.answers(1, deadline)[0][0] != frames.CHANNEL_CLOSE_OK:
                    pass
        self.wire.forget(self)


def together(channels: Sequence[Channel], deadline: float) -> None:
    """Make sure that the server has carried out what was sent on these channels of one wire: one round trip.

    Raises:
        Refused, Broken: it has not.
    """
    for channel in channels:
        channel.check()
        channel.echo()
    for channel in channels:
        channel.catch_up(deadline)


def _two(payload: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + 4], "big")
