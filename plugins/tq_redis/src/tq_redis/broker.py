"""Queues in Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

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
from tq_redis.address import parse_address
from tq_redis.capabilities import BROKER_CAPABILITIES
from tq_redis.consumer import RedisConsumer
from tq_redis.control import AnnouncementInbox, AnswerInbox, Switchboard
from tq_redis.dead_letters import Cemetery
from tq_redis.holding import Holding
from tq_redis.link import Link, open_link
from tq_redis.options import TransportOptions
from tq_redis.publishing import Outgoing
from tq_redis.queues import Queues
from tq_redis.server import Server
from tq_redis.slots import one_slot
from tq_redis.subscription import RedisSubscription, channel_name
from tq_redis.succession import RedisSuccession


class RedisBroker(Broker):
    """A broker in one database of a Redis, or in one slot of a Redis Cluster.

    Args:
        link: the way there.
        options: ``broker_transport_options``, checked.
    """

    capabilities = BROKER_CAPABILITIES

    def __init__(self, link: Link, options: TransportOptions) -> None:
        self._link = link
        self._options = options
        self._server = Server(link, options)
        # Whoever publishes may be more impatient than a worker; then it has connections of its own.
        hurried = options.publish_timeout < options.connection.socket_timeout
        self._publishing = link.within(options.publish_timeout) if hurried else link
        self._outgoing = Outgoing(Server(self._publishing, options) if hurried else self._server)
        self._queues = Queues(self._server)
        self._cemetery = Cemetery(self._server, self._outgoing)
        self._switchboard = Switchboard(self._server)

    @classmethod
    def from_request(cls, request: BrokerRequest) -> RedisBroker:
        """Open the broker a hook was asked for.

        Raises:
            ImproperlyConfigured: the URL or an option cannot be used.
        """
        address = parse_address(request.url)
        options = TransportOptions.from_settings(request.settings, address.query)
        if address.cluster:
            # What is taken and settled in one step lies in one slot.
            prefix = one_slot(options.connection.global_keyprefix)
            options = replace(options, connection=replace(options.connection, global_keyprefix=prefix))
        tls = request.settings.get("broker_use_ssl")
        link = open_link(address, options.connection, tls, unavailable=BrokerUnavailable, refused=BrokerError)
        return cls(link, options)

    def connect(self, timeout: float) -> None:
        self._link.ping(timeout)

    def publish(self, messages: Sequence[Message]) -> None:
        self._outgoing.publish(messages)

    def consumer(self, queues: Sequence[str], *, consumer_id: str, prefetch: int = 0) -> Consumer:
        fence = self._server.register(consumer_id, queues)
        holding = Holding(self._server, consumer_id, fence, self._outgoing)
        return RedisConsumer(self._server, holding, queues)

    def succeed(self, consumer_id: str) -> Succession:
        heir = f"heir of {consumer_id}"
        fence = self._server.inherit(consumer_id, heir)
        return RedisSuccession(self._server, Holding(self._server, heir, fence, self._outgoing))

    def close(self) -> None:
        self._publishing.close()
        self._link.close()

    # broadcasts

    def broadcast(self, channel: str, payload: bytes) -> None:
        name = channel_name(self._options, self._link.address.db, channel)
        self._link.call("PUBLISH", name, payload, again=False)

    def listen(self, channel: str) -> Subscription:
        return RedisSubscription(self._link, channel_name(self._options, self._link.address.db, channel))

    # remote control

    def announce(self, exchange: str, message: Message) -> None:
        self._switchboard.announce(exchange, message)

    def inbox(self, exchange: str) -> Inbox:
        return AnnouncementInbox(self._server, exchange)

    def answer(self, exchange: str, routing_key: str, message: Message) -> None:
        self._switchboard.answer(exchange, routing_key, message)

    def answers(self, exchange: str, routing_key: str) -> Inbox:
        return AnswerInbox(self._server, exchange, routing_key)

    # queues

    def queues(self) -> list[str]:
        return self._queues.names()

    def depth(self, queue: str) -> QueueDepth:
        return self._queues.depth(queue)

    def peek(self, queue: str, limit: int = 10) -> list[Delivery]:
        return self._queues.peek(queue, limit)

    def purge(self, queue: str) -> int:
        return self._queues.purge(queue)

    def move(self, source: str, target: str, limit: int | None = None) -> int:
        return self._queues.move(source, target, limit)

    def pause(self, queue: str) -> None:
        self._queues.pause(queue)

    def resume(self, queue: str) -> None:
        self._queues.resume(queue)

    def paused(self) -> list[str]:
        return self._queues.paused()

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
