"""Remote control, on the channels and lists that kombu's ``pidbox`` uses.

A fanout exchange is a channel of Redis' own. A caller's queue for answers is a list, bound to the exchange for answers
by a member of the exchange's set of bindings, where the nodes find it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from redis.exceptions import RedisError

from tq_core.contracts.broker import Inbox
from tq_core.message import Message
from tq_redis.envelope import Encoder, Tags, message_of
from tq_redis.routing import bound_queues
from tq_redis.server import Server
from tq_redis.subscription import channel_name
from tq_redis.waiting import Channel

logger = logging.getLogger(__name__)

#: Seconds an answer waits for a caller who may have gone.
_KEPT = 60

#: Most seconds one blocking look for answers takes; far below any socket_timeout that makes sense.
_LOOK = 1.0


class Switchboard:
    """Sends requests and answers. Any thread.

    Args:
        server: where to.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._encode = Encoder().encode
        self._tag = Tags().tag

    def announce(self, exchange: str, message: Message) -> None:
        """See :meth:`tq_core.contracts.broker.Broker.announce`."""
        link = self._server.link
        name = channel_name(self._server.options, link.address.db, exchange)
        link.call("PUBLISH", name, self._encode(message, "", self._tag()), again=False)

    def answer(self, exchange: str, routing_key: str, message: Message) -> None:
        """See :meth:`tq_core.contracts.broker.Broker.answer`."""
        server, keys = self._server, self._server.keys
        bindings = server.link.call("SMEMBERS", keys.binding(exchange))
        for queue in bound_queues(bindings, routing_key, server.options.sep):
            envelope = self._encode(message, queue, self._tag())
            server.link.calls(
                [("LPUSH", keys.list_of(queue), envelope), ("EXPIRE", keys.list_of(queue), _KEPT)], again=False
            )


class AnnouncementInbox(Inbox):
    """Hears what is announced on one exchange from now on.

    Args:
        server: where it listens.
        exchange: name of the fanout exchange.
    """

    def __init__(self, server: Server, exchange: str) -> None:
        self._link = server.link
        try:
            self._channel = Channel(server.link, [channel_name(server.options, server.link.address.db, exchange)])
        except (RedisError, OSError) as error:
            raise self._link.broken(error) from error

    def fileno(self) -> int | None:
        return self._channel.socket.fileno()

    def receive(self, timeout: float) -> list[Message]:
        try:
            heard = self._channel.read() if self._channel.wire.can_read(timeout) else []
            self._channel.check(time.monotonic())
        except (RedisError, OSError) as error:
            raise self._link.broken(error) from error
        return _messages(heard)

    def close(self) -> None:
        self._channel.wire.disconnect()


class AnswerInbox(Inbox):
    """Collects the answers to one caller.

    Args:
        server: where they arrive.
        exchange: name of the exchange for answers.
        routing_key: the caller's own.
    """

    def __init__(self, server: Server, exchange: str, routing_key: str) -> None:
        self._server = server
        self._binding = server.keys.binding(exchange)
        queue = f"{routing_key}.{exchange}"
        self._list = server.keys.list_of(queue)
        self._member = server.options.sep.join((routing_key, "", queue))
        self._closed = False
        server.link.call("SADD", self._binding, self._member)

    def fileno(self) -> int | None:
        return None

    def receive(self, timeout: float) -> list[Message]:
        deadline = time.monotonic() + timeout
        while True:
            rest = deadline - time.monotonic()
            if rest <= 0.001:  # Redis takes 0 for "for ever"
                taken = self._server.link.call("RPOP", self._list, again=False)
                return _messages([taken] if taken is not None else [])
            look = min(rest, _LOOK, self._server.options.connection.socket_timeout / 2)
            found = self._server.link.call("BRPOP", self._list, f"{look:.3f}", again=False)
            if found is not None:
                return _messages([found[1]])

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._server.link.calls([("SREM", self._binding, self._member), ("DEL", self._list)])
        except Exception as error:  # contract: closing never raises; what is left is one member of a set
            logger.debug("The place for answers was not removed: %s", error)


def _messages(raws: Sequence[bytes]) -> list[Message]:
    messages = []
    for raw in raws:
        try:
            messages.append(message_of(raw, ""))
        except ValueError as error:
            logger.error("What was heard on a control channel is no message: %s", error)
    return messages
