"""Remote control, on the exchanges that kombu's ``pidbox`` uses.

A request goes to a fanout exchange, to which every node has bound a queue of its own. An answer goes to a direct
exchange, under the key by which the caller has bound its queue. Neither exchange is durable: they and the queues go
with the broker, and are made again by whoever needs them next.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from tq_amqp import frames
from tq_amqp.connection import Doubt, Link, Parcel
from tq_amqp.envelope import read, write
from tq_amqp.frames import short
from tq_amqp.tables import encode_table
from tq_amqp.topology import Topology, binding_arguments, exchange_arguments, queue_arguments
from tq_amqp.wire import Broken, Channel, Refused, Wire, together
from tq_core.contracts.broker import Inbox
from tq_core.errors import BrokerError, BrokerUnavailable
from tq_core.message import Message

logger = logging.getLogger(__name__)

#: Seconds without a word from the broker after which it is asked whether it lives.
_ASK_AFTER = 5.0
#: Letters of a queue's name that differ from those of all others.
_UNIQUE = 12


@dataclass(frozen=True, slots=True)
class ControlQueues:
    """What queues for requests and answers are like.

    Attributes:
        ttl: seconds a message waits in one (``control_queue_ttl``), None for as long as it takes.
        expires: seconds after which an unused one goes (``control_queue_expires``), None for never.
        durable: it survives a restart of the broker (``control_queue_durable``).
        exclusive: it belongs to one connection and goes with it (``control_queue_exclusive``).
    """

    ttl: float | None = 300.0
    expires: float | None = 10.0
    durable: bool = False
    exclusive: bool = True

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> ControlQueues:
        """Read the settings; those that are not there have their defaults."""
        given = {name: settings[f"control_queue_{name}"] for name in _NAMES if f"control_queue_{name}" in settings}
        return cls(**given)

    def declaration(self, name: str) -> bytes:
        """Return the arguments of the queue.declare that makes one."""
        arguments = {
            word: int(seconds * 1000)
            for word, seconds in (("x-message-ttl", self.ttl), ("x-expires", self.expires))
            if seconds is not None
        }
        return queue_arguments(
            name, durable=self.durable, exclusive=self.exclusive, auto_delete=not self.durable, arguments=arguments
        )


_NAMES = ("ttl", "expires", "durable", "exclusive")


class Switchboard:
    """Sends requests and answers, and opens inboxes. Any thread.

    Args:
        link: the way to RabbitMQ.
        topology: makes exchanges.
        queues: what inboxes are like.
    """

    def __init__(self, link: Link, topology: Topology, queues: ControlQueues) -> None:
        self._link = link
        self._topology = topology
        self._queues = queues

    def announce(self, exchange: str, message: Message) -> None:
        """See :meth:`tq_core.contracts.broker.Broker.announce`."""
        self._send(exchange, "fanout", "", message)

    def answer(self, exchange: str, routing_key: str, message: Message) -> None:
        """See :meth:`tq_core.contracts.broker.Broker.answer`."""
        self._send(exchange, "direct", routing_key, message)

    def inbox(self, exchange: str) -> Inbox:
        """See :meth:`tq_core.contracts.broker.Broker.inbox`."""
        # A name of its own: a node that takes the place of a dead one need not wait until the broker has noticed.
        queue = f"{uuid.uuid4().hex[:_UNIQUE]}.{exchange}"
        return AMQPInbox(self._link, self._queues, exchange, "fanout", queue, "")

    def answers(self, exchange: str, routing_key: str) -> Inbox:
        """See :meth:`tq_core.contracts.broker.Broker.answers`."""
        return AMQPInbox(self._link, self._queues, exchange, "direct", f"{routing_key}.{exchange}", routing_key)

    def _send(self, exchange: str, kind: str, key: str, message: Message) -> None:
        parcel: Parcel = (exchange, key, write(replace(message, delivery_mode=1)), message.body)
        deadline = monotonic() + self._link.options.publish_timeout
        for last in (False, True):
            if not self._link.options.passive:
                self._topology.ensure_exchange(exchange, kind, durable=False)
            try:
                # That it comes back because nobody listens is no error.
                self._link.publish([parcel], deadline)
                return
            except Doubt as error:
                if error.refusal is None:
                    raise BrokerUnavailable(str(error)) from error
                # The broker was restarted, and the exchange is gone.
                self._topology.forget(f"tq.exchange {exchange}")
                if last or error.refusal.code != 404:
                    raise BrokerError(f"{error}. Check the exchange, and that the user may write to it") from error


class AMQPInbox(Inbox):
    """Receives what is sent to one queue of its own, from now on, over a connection of its own.

    Args:
        link: the way to RabbitMQ.
        queues: what the queue is like.
        exchange: where requests or answers are sent to.
        kind: type of that exchange.
        queue: name of the queue.
        key: it is bound by this one.

    Raises:
        BrokerUnavailable: RabbitMQ cannot be reached.
        BrokerError: it refuses; the text names the exchange.
    """

    def __init__(self, link: Link, queues: ControlQueues, exchange: str, kind: str, queue: str, key: str) -> None:
        self._link = link
        self._queue = queue
        self._exchange = exchange
        self._key = key
        self._pid = os.getpid()
        self._closed = False
        options = link.options
        self._wire: Wire = link.open(heartbeat=options.heartbeat, title=f"listens to {exchange}")
        until = monotonic() + options.answer_timeout
        try:
            self._channel: Channel = self._wire.open_channel(until)
            if not options.passive:
                asked = exchange_arguments(exchange, kind, durable=False)
                self._channel.call(frames.EXCHANGE_DECLARE, asked, until)
            self._channel.call(frames.QUEUE_DECLARE, queues.declaration(queue), until)
            self._channel.call(frames.QUEUE_BIND, binding_arguments(queue, exchange, key), until)
            # no-ack: what is not heard is not missed
            consume = b"\x00\x00" + short(queue) + short("hear") + b"\x02" + encode_table({})
            self._channel.call(frames.BASIC_CONSUME, consume, until)
        except Broken as error:
            link.discard(self._wire)
            raise BrokerUnavailable(f"{self._wire.name}: {error}") from error
        except Refused as error:
            link.discard(self._wire)
            raise BrokerError(
                f"{self._wire.name}: the exchange {exchange!r} of remote control cannot be listened to: {error}. Check "
                f"the permissions, and that it is a {kind} exchange that is not durable (control_exchange)"
            ) from error

    def fileno(self) -> int | None:
        return self._wire.fileno()

    def receive(self, timeout: float) -> list[Message]:
        deadline = monotonic() + timeout
        wire, channel = self._wire, self._channel
        try:
            wire.pump(0)
            while not channel.contents and (left := deadline - monotonic()) > 0:
                self._check()
                wire.pump(min(left, _ASK_AFTER))
                self._tend()
            self._check()
            self._tend()
        except (Broken, Refused) as error:
            raise BrokerUnavailable(f"{wire.name}: {error}. Requests or answers may have been missed") from error
        return self._messages()

    def _check(self) -> None:
        self._channel.check()
        if self._channel.cancelled:
            raise self._wire.fail(f"the queue {self._queue!r} was deleted")

    def _tend(self) -> None:
        """Keep the connection alive, and find out when it is dead."""
        self._wire.beat()
        if monotonic() - self._wire.heard_at > _ASK_AFTER:
            together([self._channel], monotonic() + self._link.options.answer_timeout)

    def _messages(self) -> list[Message]:
        messages = []
        contents = self._channel.contents
        while contents:
            _, _, header, body = contents.popleft()
            found = read(header, body, self._queue, self._exchange, self._key)
            if found.message is None:
                logger.error("What was heard on %s is no message: %s", self._exchange, found.defect)
            else:
                messages.append(found.message)
        return messages

    def close(self) -> None:
        if not self._closed and self._pid == os.getpid():
            self._link.discard(self._wire)
        self._closed = True
