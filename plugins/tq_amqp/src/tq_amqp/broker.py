"""Queues in RabbitMQ."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from time import monotonic
from weakref import WeakSet

from tq_amqp import frames
from tq_amqp.address import parse_addresses
from tq_amqp.capabilities import BROKER_CAPABILITIES
from tq_amqp.connection import Doubt, Link
from tq_amqp.consumer import AMQPConsumer
from tq_amqp.control import ControlQueues, Switchboard
from tq_amqp.dead_letters import Cemetery
from tq_amqp.delays import Delays
from tq_amqp.holding import Holding
from tq_amqp.native_delay import NativeDelay
from tq_amqp.options import ConnectionOptions
from tq_amqp.publishing import Outgoing
from tq_amqp.queues import Inspection
from tq_amqp.subscription import AMQPSubscription
from tq_amqp.succession import AMQPSuccession
from tq_amqp.topology import Topology
from tq_core.contracts.broker import (
    Broker,
    BrokerRequest,
    Consumer,
    DeadLetter,
    Inbox,
    QueueDepth,
    Subscription,
    Succession,
)
from tq_core.errors import BrokerError, BrokerUnavailable
from tq_core.message import Delivery, Message


class AMQPBroker(Broker):
    """A broker in one virtual host of a RabbitMQ.

    Args:
        link: the way there.
        topology: makes exchanges, queues and bindings.
        control: what queues of remote control are like.
        native_delay: takes in the calls that Celery's clients leave to RabbitMQ until they are due.
    """

    capabilities = BROKER_CAPABILITIES

    def __init__(self, link: Link, topology: Topology, control: ControlQueues, native_delay: NativeDelay) -> None:
        self._link = link
        self._topology = topology
        self._native_delay = native_delay
        self._delays = Delays(link, topology)
        self._outgoing = Outgoing(link, topology, self._delays)
        self._inspection = Inspection(link, topology, self._delays)
        self._cemetery = Cemetery(link, topology, self._outgoing)
        self._switchboard = Switchboard(link, topology, control)
        self._consumers: WeakSet[AMQPConsumer] = WeakSet()
        self._pid = os.getpid()

    @classmethod
    def from_request(cls, request: BrokerRequest) -> AMQPBroker:
        """Open the broker a hook was asked for.

        Raises:
            ImproperlyConfigured: the URL or an option cannot be used.
        """
        addresses = parse_addresses(request.url)
        options = ConnectionOptions.from_settings(request.settings, addresses[0].query)
        link = Link(addresses, options, f"tq {request.node}")
        topology = Topology(link, request.settings)
        control = ControlQueues.from_settings(request.settings)
        return cls(link, topology, control, NativeDelay(link, topology, request.settings))

    def connect(self, timeout: float) -> None:
        self._link.ping(timeout)

    def publish(self, messages: Sequence[Message]) -> None:
        if messages:
            self._outgoing.publish(messages)

    def consumer(self, queues: Sequence[str], *, consumer_id: str, prefetch: int = 0) -> Consumer:
        self._native_delay.ensure(queues)
        for queue in queues:
            # Before the worker calls itself ready: what a fanout exchange gets from then on is for this queue, too.
            with suppress(BrokerError):  # receive() will meet it again, and says so for as long as it lasts
                self._topology.ensure(queue)
        consumer = AMQPConsumer(self._link, self._topology, self._holding(), queues, consumer_id)
        if self._pid != os.getpid():
            self._pid, self._consumers = os.getpid(), WeakSet()
        self._consumers.add(consumer)
        return consumer

    def succeed(self, consumer_id: str) -> Succession:
        if self._pid == os.getpid():
            for consumer in list(self._consumers):
                if consumer.id == consumer_id:
                    consumer.fence()
        return AMQPSuccession(self._link, self._holding(), consumer_id)

    def _holding(self) -> Holding:
        return Holding(self._link, self._topology, self._outgoing, self._cemetery)

    def close(self) -> None:
        if self._pid == os.getpid():
            for consumer in list(self._consumers):
                consumer.close()
        self._link.close()

    # broadcasts

    def broadcast(self, channel: str, payload: bytes) -> None:
        self._topology.ensure_exchange(channel, "fanout", durable=False)
        properties = frames.write_properties({"content_type": "application/octet-stream", "delivery_mode": 1})
        try:
            # That it comes back because nobody listens is no error.
            self._link.publish([(channel, "", properties, payload)], monotonic() + self._link.options.publish_timeout)
        except Doubt as error:
            if error.refusal is None:
                raise BrokerUnavailable(str(error)) from error
            self._topology.forget(f"tq.exchange {channel}")
            raise BrokerError(str(error)) from error

    def listen(self, channel: str) -> Subscription:
        return AMQPSubscription(self._link, channel)

    # remote control

    def announce(self, exchange: str, message: Message) -> None:
        self._switchboard.announce(exchange, message)

    def inbox(self, exchange: str) -> Inbox:
        return self._switchboard.inbox(exchange)

    def answer(self, exchange: str, routing_key: str, message: Message) -> None:
        self._switchboard.answer(exchange, routing_key, message)

    def answers(self, exchange: str, routing_key: str) -> Inbox:
        return self._switchboard.answers(exchange, routing_key)

    # queues

    def queues(self) -> list[str]:
        return self._topology.names

    def depth(self, queue: str) -> QueueDepth:
        mine = list(self._consumers) if self._pid == os.getpid() else []
        held = sum(consumer.held(queue) for consumer in mine)
        return self._inspection.depth(queue, held, sum(consumer.soon(queue) for consumer in mine))

    def peek(self, queue: str, limit: int = 10) -> list[Delivery]:
        return self._inspection.peek(queue, limit)

    def purge(self, queue: str) -> int:
        return self._inspection.purge(queue)

    # dead letters

    def dead_letters(self, *, queue: str | None = None, limit: int = 100) -> Iterator[DeadLetter]:
        return self._cemetery.letters(queue, limit)

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        return self._cemetery.letter(letter_id)

    def bury(self, queue: str, message: Message, reason: str, traceback: str | None = None) -> str:
        return self._cemetery.bury(queue, message, reason, traceback)

    def exhume(self, letter_ids: Sequence[str]) -> int:
        return self._cemetery.exhume(letter_ids)

    def drop_dead(self, letter_ids: Sequence[str]) -> int:
        return self._cemetery.drop(letter_ids)
