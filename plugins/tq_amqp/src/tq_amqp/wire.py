"""One AMQP connection: frames in and out of a socket that never blocks.

py-amqp made the connection (:mod:`tq_amqp.connecting`); from then on the frames are written and read here, since that
is where the time goes. A wire belongs to one thread at a time.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Any

from tq_amqp import frames
from tq_amqp.channel import Channel, Refused, together
from tq_amqp.frames import END, HEAD, SIGNATURE, WITH_CONTENT, method, read_short

# Whoever speaks over a wire needs its channels and their refusals.
__all__ = ["Broken", "Channel", "Refused", "Wire", "together"]

#: Bytes asked of the socket at a time.
_CHUNK = 1 << 18
#: Seconds between two signs of life of a server that is in the middle of a large message.
_PAUSE = 0.5
#: Most bytes given to the socket in one call.
_PIECE = 1 << 20

#: Linux tells that the peer has ended the connection.
_HUNG_UP: int = getattr(select, "POLLRDHUP", 0)


class Broken(Exception):
    """The connection is lost, or the server does not answer.

    Attributes:
        sent: True when the server may have received and carried out what it was sent.
    """

    def __init__(self, text: str, *, sent: bool = True) -> None:
        super().__init__(text)
        self.sent = sent


class Wire:
    """One connection.

    Args:
        sock: connected, and past the handshake.
        rest: bytes that were read from it already.
        frame_max: most bytes of a frame.
        heartbeat: seconds between heartbeats that were agreed on, 0 for none.
        name: of the server, for errors.

    Attributes:
        pid: the process that opened it.
        blocked: why the server takes no messages for now, or None.
        fault: why it can be used no more, or None.
        heard_at: when something last came in, monotonic seconds.
    """

    def __init__(self, sock: socket.socket, rest: bytes, frame_max: int, heartbeat: float, name: str) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._rest = rest
        self._out: list[frames.Piece] = []
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._look = select.poll()
        self._look.register(sock, select.POLLIN | _HUNG_UP)
        self._watched: int | None = None
        self._channels: dict[int, Channel] = {}
        self._numbers = 0
        self._free: list[int] = []
        self._sent_at = 0.0
        self.frame_max = frame_max
        self.heartbeat = heartbeat
        self.name = name
        self.pid = os.getpid()
        self.blocked: str | None = None
        self.fault: str | None = None
        self.heard_at = monotonic()

    # channels

    def open_channel(self, deadline: float, kind: type[Channel] = Channel) -> Any:
        """Open a channel.

        Raises:
            Broken: the connection is lost, or the server does not answer.
        """
        number = self._free.pop() if self._free else self._numbers + 1
        self._numbers = max(self._numbers, number)
        channel = self._channels[number] = kind(self, number)
        channel.call(frames.CHANNEL_OPEN, b"\x00", deadline)
        return channel

    def forget(self, channel: Channel) -> None:
        """Take a closed channel off the list."""
        if self._channels.get(channel.number) is channel:
            del self._channels[channel.number]
            self._free.append(channel.number)

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 once it is closed; what was read already does not show there."""
        return self._sock.fileno()

    def watch(self, descriptor: int) -> None:
        """Let :meth:`pump` return when this file descriptor becomes readable, too."""
        self._poll.register(descriptor, select.POLLIN)
        self._watched = descriptor

    # out

    def queue(self, data: bytes) -> None:
        """Keep bytes for the next :meth:`flush`."""
        self._out.append(data)

    def queue_all(self, pieces: Iterable[frames.Piece]) -> None:
        """Keep bytes for the next :meth:`flush`."""
        self._out += pieces

    def flush(self, deadline: float) -> None:
        """Send what is kept.

        Raises:
            Broken: the connection is lost, or the server took nothing more before the deadline.
        """
        if self.fault is not None:
            raise Broken(self.fault, sent=False)
        if not self._out:
            return
        data = memoryview(b"".join(self._out))
        self._out = []
        self._sent_at = monotonic()
        begun = False
        while data:
            try:
                count = self._sock.send(data[:_PIECE])
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                self._wait_writable(deadline)
                continue
            except (OSError, ValueError) as error:
                raise self.fail(f"the connection was lost: {error}", sent=begun) from error
            begun = True
            data = data[count:]

    def _wait_writable(self, deadline: float) -> None:
        """Wait until more can be sent; what the server says meanwhile is read, or both sides might wait for ever."""
        left = deadline - monotonic()
        if left <= 0:
            raise self.fail("the server takes nothing more" + self._why_blocked())
        both = select.poll()
        both.register(self._sock, select.POLLIN | select.POLLOUT)
        events = both.poll(min(left, 1.0) * 1000)
        if events and events[0][1] & select.POLLIN:
            self._read()

    # in

    def pump(self, timeout: float) -> bool:
        """Read what is there, waiting up to ``timeout`` seconds for something.

        Returns:
            True when something was read.

        Raises:
            Broken: the connection is lost.
        """
        if self.fault is not None:
            raise Broken(self.fault)
        if self._tls and self._sock.pending():  # type: ignore[attr-defined]  # it is a TLS socket
            self._read()
            return True
        events = self._poll.poll(max(0.0, timeout) * 1000)
        for descriptor, _ in events:
            if descriptor != self._watched:
                self._read()
                return True
        return False

    def pump_until(self, deadline: float) -> None:
        """Read something before a deadline, or give the connection up; a server that is still sending may go on.

        Raises:
            Broken: the connection is lost, or nothing came.
        """
        deadline = max(deadline, self.heard_at + _PAUSE)
        left = deadline - monotonic()
        # What wakes a waiting receiver has no meaning here.
        if self._watched is not None:
            self._poll.modify(self._watched, 0)
        try:
            if left > 0 and self.pump(left):
                return
        finally:
            if self._watched is not None:
                self._poll.modify(self._watched, select.POLLIN)
        if monotonic() >= deadline:
            raise self.fail("the server does not answer" + self._why_blocked())

    def _why_blocked(self) -> str:
        return "" if self.blocked is None else f"; it blocks publishers: {self.blocked}"

    def _read(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
            while self._tls and self._sock.pending():  # type: ignore[attr-defined]  # it is a TLS socket
                data += self._sock.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except (OSError, ValueError) as error:
            raise self.fail(f"the connection was lost: {error}") from error
        if not data:
            raise self.fail("the server closed the connection")
        self.heard_at = monotonic()
        self._take(self._rest + data if self._rest else data)

    def _take(self, data: bytes) -> None:
        """Take every whole frame."""
        at, length = 0, len(data)
        channels = self._channels
        while length - at >= 8:
            kind, number, size = HEAD.unpack_from(data, at)
            end = at + 7 + size
            if end >= length:
                break
            if data[end] != END:
                raise self.fail("the server sent something that is not AMQP")
            payload = data[at + 7 : end]
            at = end + 1
            channel = channels.get(number)
            if channel is None:
                if number == 0:
                    self._take_own(kind, payload)
            elif kind == 1:
                signature = SIGNATURE.unpack_from(payload)[0]
                if signature in WITH_CONTENT:
                    channel._method = payload
                else:
                    channel.take_method(signature, payload)
            elif kind == 2:
                channel.take_header(payload)
            elif kind == 3:
                channel.take_body(payload)
        self._rest = data[at:]

    def _take_own(self, kind: int, payload: bytes) -> None:
        if kind != frames.METHOD:
            return  # a heartbeat
        number = SIGNATURE.unpack_from(payload)[0]
        if number == frames.CONNECTION_BLOCKED:
            self.blocked = read_short(payload, 4)[0]
        elif number == frames.CONNECTION_UNBLOCKED:
            self.blocked = None
        elif number == frames.CONNECTION_CLOSE:
            text = read_short(payload, 6)[0]
            with suppress(OSError):
                self._sock.send(method(0, frames.CONNECTION_CLOSE_OK))
            raise self.fail(f"the server closed the connection: {text}")

    def fail(self, text: str, *, sent: bool = True) -> Broken:
        """Give the connection up and return what to raise."""
        if self.fault is None:
            self.fault = text
            self._drop()
        return Broken(text, sent=sent)

    # upkeep

    def beat(self) -> None:
        """Send a heartbeat if one is due. Called every few seconds by whoever owns the wire.

        Raises:
            Broken: the connection is lost.
        """
        if self.heartbeat and monotonic() - self._sent_at >= self.heartbeat / 3:
            self.queue(frames.HEARTBEAT_FRAME)
            self.flush(monotonic() + 1.0)

    def is_sound(self) -> bool:
        """Look whether the server has ended the connection; what it said meanwhile is taken in."""
        if self.fault is not None:
            return False
        try:
            if self._tls and self._sock.pending():  # type: ignore[attr-defined]  # it is a TLS socket
                self._read()
            while events := self._look.poll(0):
                if events[0][1] & select.POLLIN:
                    self._read()
                else:
                    self.fail("the server closed the connection")
                    return False
        except Broken:
            return False
        return True

    def _drop(self) -> None:
        if self.pid == os.getpid():  # else it is still the parent's
            with suppress(OSError):
                self._sock.close()

    def close(self, patience: float = 1.0) -> None:
        """Say goodbye and close. Never raises.

        Args:
            patience: seconds to wait for the server's answer, without which it logs an abrupt end.
        """
        if self.fault is None and self.pid == os.getpid():
            with suppress(Broken):
                deadline = monotonic() + patience
                self.queue(method(0, frames.CONNECTION_CLOSE, b"\x00\xc8\x00\x00\x00\x00\x00"))
                self.flush(deadline)
                own = self._channels[0] = _Goodbye(self, 0)
                while not own.replies:
                    self.pump_until(deadline)
        if self.fault is None:
            self.fault = "it was closed here"
            self._drop()


class _Goodbye(Channel):
    """Stands in for channel 0 while the answer to the end of the connection is awaited."""
