"""Broadcasts, on the channels that kombu's fanout exchanges use."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from tq_core.contracts.broker import Subscription
from tq_redis.link import Link
from tq_redis.options import TransportOptions
from tq_redis.waiting import GRACE, Channel


def channel_name(options: TransportOptions, db: int, channel: str) -> str:
    """Return the name Redis knows a channel by.

    Redis' channels are not separate for each database, hence the number; see kombu's ``fanout_prefix``.
    """
    given = options.fanout_prefix
    prefix = f"/{db}." if given is True else given or ""
    return f"{options.connection.global_keyprefix}{prefix}{channel}"


class RedisSubscription(Subscription):
    """Listens to one channel from now on.

    Args:
        link: the way to the server.
        name: of the channel, as Redis knows it.
    """

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._name = name
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._closed = False
        self._channel: Channel | None = self._open()

    def _open(self) -> Channel:
        try:
            return Channel(self._link, [self._name])
        except (RedisError, OSError) as error:
            raise self._link.broken(error) from error

    def receive(self, timeout: float) -> list[bytes]:
        deadline = time.monotonic() + timeout
        if self._channel is None:
            self._channel = self._open()
        try:
            return self._hear(self._channel, deadline)
        except (RedisError, OSError) as error:
            self._channel.wire.disconnect()
            self._channel = None
            raise self._link.broken(error) from error

    def _hear(self, channel: Channel, deadline: float) -> list[bytes]:
        while True:
            rest = max(0.0, deadline - time.monotonic())
            readable = self._select([channel.socket, self._ear], min(rest, GRACE))
            if channel.socket in readable:
                said = channel.read()
                if said:
                    return said
            if self._ear in readable:
                with suppress(BlockingIOError):
                    while self._ear.recv(4096):
                        pass
                return []
            if rest <= 0:
                return []
            channel.check(time.monotonic())

    def _select(self, sockets: Sequence[socket.socket], timeout: float) -> list[socket.socket]:
        poll = select.poll()
        by_number = {one.fileno(): one for one in sockets}
        for number in by_number:
            poll.register(number, select.POLLIN)
        return [by_number[number] for number, _ in poll.poll(timeout * 1000)]

    def wake(self) -> None:
        with suppress(OSError):  # full: it will wake anyway; closed: nobody waits
            self._mouth.send(b"!")

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._channel is not None:
            self._channel.wire.disconnect()
        self._ear.close()
        self._mouth.close()
