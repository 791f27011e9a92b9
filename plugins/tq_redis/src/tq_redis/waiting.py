"""Waits for messages without taking them, without asking again and again, and without missing one.

``BLMOVE list list RIGHT RIGHT`` takes the head of a list and puts it back where it was, in one step: a look that waits.
It ends when the list gets its first message, whoever sent it, and changes nothing. Each list has a connection for its
look. One more connection listens to what no list shows: an earlier due time, an orphan, the end of a pause.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from redis.exceptions import RedisError

from tq_redis.connecting import Wire
from tq_redis.link import Link

#: Seconds after which the server ends a look by itself; then the connection is known to live.
LOOK = 4.0

#: Seconds after that in which the answer must have come.
GRACE = 4.0

#: The most lists that have looks of their own, and seconds between two looks at the others.
MOST_LOOKS, LOOK_AROUND = 64, 0.25


class Heard(NamedTuple):
    """How a wait ended.

    Attributes:
        woken: :meth:`Watch.wake` was called.
        news: there may be something to take.
    """

    woken: bool
    news: bool


class Watch:
    """Watches lists and channels. Belongs to one thread; :meth:`wake` may be called from any.

    Args:
        link: the way to the server.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._selector = selectors.DefaultSelector()
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._looks: dict[str, _Look] = {}
        self._channel: Channel | None = None
        self._subscribed: tuple[str, ...] = ()
        self._closed = False

    @property
    def listening(self) -> bool:
        """True while nothing that is said on the channels goes unheard."""
        return self._channel is not None

    def listen(self, channels: Sequence[str]) -> None:
        """Make sure that what is said on these channels from now on ends a wait.

        Raises:
            BrokerUnavailable: the server cannot be used.
        """
        if self._channel is not None and self._subscribed == tuple(channels):
            return
        self._drop_channel()
        try:
            self._channel = Channel(self._link, channels)
        except (RedisError, OSError) as error:
            raise self._link.broken(error) from error
        self._subscribed = tuple(channels)
        self._selector.register(self._channel.socket, selectors.EVENT_READ, self._channel)

    def wait(self, lists: Sequence[str], timeout: float) -> Heard:
        """Wait until one of the lists has a message or something was said.

        Args:
            lists: names; what they hold now ends the wait at once.
            timeout: seconds.

        Raises:
            BrokerUnavailable: a connection broke or fell silent.
        """
        try:
            for name in lists[:MOST_LOOKS]:
                self._arm(name)
            if len(lists) <= MOST_LOOKS:
                return self._hear(min(timeout, LOOK))
            return Heard(self._hear(min(timeout, LOOK_AROUND)).woken, news=True)
        except (RedisError, OSError) as error:
            self.drop()
            raise self._link.broken(error) from error

    def _arm(self, name: str) -> None:
        look = self._looks.get(name)
        if look is None:
            look = self._looks[name] = _Look(self._link.open(), name)
            self._selector.register(look.socket, selectors.EVENT_READ, look)
        look.arm()

    def _hear(self, timeout: float) -> Heard:
        woken = news = False
        for key, _ in self._selector.select(max(0.0, timeout)):
            if key.data is None:
                woken = True
                with suppress(BlockingIOError):
                    while self._ear.recv(4096):
                        pass
            else:
                key.data.read()
                news = True
        now = time.monotonic()
        for look in self._looks.values():
            look.check(now)
        if self._channel is not None:
            self._channel.check(now)
        return Heard(woken, news)

    def wake(self) -> None:
        """End the wait. Any thread."""
        with suppress(OSError):  # full: it will wake anyway; closed: nobody waits
            self._mouth.send(b"!")

    def drop(self) -> None:
        """Close all connections; the next wait opens new ones."""
        for look in self._looks.values():
            with suppress(KeyError, ValueError):
                self._selector.unregister(look.socket)
            look.wire.disconnect()
        self._looks = {}
        self._drop_channel()

    def _drop_channel(self) -> None:
        if self._channel is not None:
            with suppress(KeyError, ValueError):
                self._selector.unregister(self._channel.socket)
            self._channel.wire.disconnect()
        self._channel = None

    def close(self) -> None:
        """Close everything. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self.drop()
        self._selector.close()
        self._ear.close()
        self._mouth.close()


def _socket_of(wire: Wire) -> socket.socket:
    if wire._sock is None:
        raise OSError("the connection is closed")
    return wire._sock


class _Look:
    """One list, and the connection that waits for it."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.wire = wire
        self.socket = _socket_of(wire)
        self._packed = list(wire.pack_command("BLMOVE", name, name, "RIGHT", "RIGHT", LOOK))
        self._armed_at: float | None = None

    def arm(self) -> None:
        if self._armed_at is None:
            self.wire.send_packed_command(self._packed)
            self._armed_at = time.monotonic()

    def read(self) -> None:
        self.wire.read_response()
        self._armed_at = None

    def check(self, now: float) -> None:
        if self._armed_at is not None and now - self._armed_at > LOOK + GRACE:
            raise OSError(f"no answer within {LOOK + GRACE:g} s")


class Channel:
    """A connection that hears what is said on some channels."""

    def __init__(self, link: Link, channels: Sequence[str]) -> None:
        self.wire = link.open()
        self.socket = _socket_of(self.wire)
        self.wire.send_packed_command(self.wire.pack_command("SUBSCRIBE", *channels))
        for _ in channels:
            self.wire.read_response()
        self._heard_at = time.monotonic()
        self._asked_at: float | None = None

    def read(self) -> list[bytes]:
        """Return the payloads that have come in."""
        said = []
        while True:
            answer = self.wire.read_response()
            if answer[0] == b"message":
                said.append(answer[2])
            if not self.wire.can_read(0):
                break
        self._heard_at, self._asked_at = time.monotonic(), None
        return said

    def check(self, now: float) -> None:
        """See that the connection lives: after some silence the server is asked to say something."""
        if self._asked_at is not None:
            if now - self._asked_at > GRACE:
                raise OSError(f"no answer within {GRACE:g} s")
        elif now - self._heard_at > LOOK:
            self.wire.send_packed_command(self.wire.pack_command("PING"))
            self._asked_at = now
