"""Hears broadcasts: a queue of the listener's own, bound to the channel's fanout exchange."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from time import monotonic

from tq_amqp import frames
from tq_amqp.channel import Channel, Refused, together
from tq_amqp.connection import Link
from tq_amqp.frames import short
from tq_amqp.tables import encode_table
from tq_amqp.topology import binding_arguments, exchange_arguments, queue_arguments
from tq_amqp.wire import Broken, Wire
from tq_core.contracts.broker import Subscription
from tq_core.errors import BrokerError, BrokerUnavailable

#: Seconds without a word from the broker after which it is asked whether it lives.
_ASK_AFTER = 5.0


class AMQPSubscription(Subscription):
    """Hears what is broadcast on one channel.

    Args:
        link: the way to RabbitMQ.
        channel: the name of its exchange.
    """

    def __init__(self, link: Link, channel: str) -> None:
        self._link = link
        self._name = channel
        self._wire: Wire | None = None
        self._channel: Channel
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._woken = False
        self._pid = os.getpid()
        self._open()

    def _open(self) -> Wire:
        if self._wire is not None and self._wire.fault is None:
            return self._wire
        options = self._link.options
        wire = self._link.open(heartbeat=options.heartbeat, title=f"listens to {self._name}")
        until = monotonic() + options.answer_timeout
        try:
            channel: Channel = wire.open_channel(until)
            channel.call(frames.EXCHANGE_DECLARE, exchange_arguments(self._name, "fanout", durable=False), until)
            answer = channel.call(
                frames.QUEUE_DECLARE, queue_arguments("", durable=False, exclusive=True, auto_delete=True), until
            )
            queue, _ = frames.read_short(answer, 4)
            channel.call(frames.QUEUE_BIND, binding_arguments(queue, self._name, ""), until)
            # no-ack: what is not heard is not missed
            channel.call(
                frames.BASIC_CONSUME, b"\x00\x00" + short(queue) + short("hear") + b"\x02" + encode_table({}), until
            )
        except Broken as error:
            self._link.discard(wire)
            raise BrokerUnavailable(f"{wire.name}: {error}") from error
        except Refused as error:
            self._link.discard(wire)
            raise BrokerError(
                f"{wire.name}: the exchange {self._name!r} cannot be listened to: {error}. Check the permissions, and "
                "that it is a fanout exchange that is not durable"
            ) from error
        wire.watch(self._bell.fileno())
        self._wire, self._channel = wire, channel
        return wire

    def receive(self, timeout: float) -> list[bytes]:
        deadline = monotonic() + timeout
        try:
            wire = self._open()
            contents = self._channel.contents
            wire.pump(0)
            while not contents and not self._woken and (left := deadline - monotonic()) > 0:
                self._channel.check()
                wire.pump(min(left, _ASK_AFTER))
                wire.beat()
                if monotonic() - wire.heard_at > _ASK_AFTER:
                    together([self._channel], monotonic() + self._link.options.answer_timeout)
        except (Broken, Refused) as error:
            if self._wire is not None:
                self._link.discard(self._wire)
                self._wire = None
            raise BrokerUnavailable(f"{self._link}: {error}. Broadcasts may have been missed") from error
        self._woken = False
        with suppress(BlockingIOError):
            while self._bell.recv(4096):
                pass
        payloads = [body for _, _, _, body in contents]
        contents.clear()
        return payloads

    def wake(self) -> None:
        self._woken = True
        with suppress(OSError):
            self._rope.send(b"\x00")

    def close(self) -> None:
        if self._wire is not None and self._pid == os.getpid():
            self._link.discard(self._wire)
        self._wire = None
        self._bell.close()
        self._rope.close()
