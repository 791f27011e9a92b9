"""Hands messages over: which list each belongs to, and what is known when that fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from redis.exceptions import ResponseError

from tq_core.errors import BrokerError, PublishError
from tq_core.message import Message
from tq_redis.envelope import Encoder, Tags
from tq_redis.link import Broken
from tq_redis.routing import bound_queues
from tq_redis.server import PUBLISH, Server

#: The most envelopes one LPUSH takes, so that the server serves others in between.
_MOST = 500


class Outgoing:
    """Prepares and sends messages. Any thread.

    Args:
        server: where to.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._encode = Encoder(server.options.body_encoding).encode
        self._tag = Tags().tag
        self._lists: dict[tuple[str, int | None], str] = {}
        self._known: frozenset[str] = frozenset()

    def arguments(self, message: Message) -> tuple[Any, ...]:
        """Return what settle.lua and publish.lua take of a message."""
        queue = message.queue or message.routing_key
        tag = self._tag()
        due = "" if message.due is None else repr(message.due)
        return queue, self._step(message.priority), tag, due, self._encode(message, queue, tag)

    def _step(self, priority: int | None) -> str:
        wanted = min(max(priority or 0, 0), 9)
        return str(max(step for step in self._server.keys.steps if step <= wanted))

    def _list_of(self, queue: str, priority: int | None) -> str:
        found = self._lists.get((queue, priority))
        if found is None:
            found = self._server.keys.list_of(queue, priority)
            if len(self._lists) < 10_000:
                self._lists[queue, priority] = found
        return found

    def routed(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the messages with their queues; one that an exchange spreads becomes several.

        Raises:
            PublishError: no queue is bound to an exchange with a message's routing key.
        """
        if all(message.queue or not message.exchange for message in messages):
            return messages
        spread: list[Message] = []
        for message in messages:
            if message.queue or not message.exchange:
                spread.append(message)
                continue
            keys, sep = self._server.keys, self._server.options.sep
            bindings = self._server.link.call("SMEMBERS", keys.binding(message.exchange))
            queues = bound_queues(bindings, message.routing_key, sep)
            if not queues:
                raise PublishError(
                    f"Task {message.id}: no queue is bound to the exchange {message.exchange!r} with the routing key "
                    f"{message.routing_key!r}. Start a worker of such a queue, or route the task to a queue",
                    unsent=[message.id],
                )
            spread += [replace(message, queue=queue) for queue in queues]
        return spread

    def publish(self, messages: Sequence[Message]) -> None:
        """See :meth:`tq_core.contracts.broker.Broker.publish`."""
        if len(messages) == 1 and self._publish_one(messages[0]):
            return
        by_list: dict[str, list[bytes]] = {}
        ids: dict[str, list[str]] = {}
        waiting: list[Any] = []
        queues = set()
        for message in self._routed_or_unsent(messages):
            queue = message.queue or message.routing_key
            queues.add(queue)
            if message.due is None:
                name = self._list_of(queue, message.priority)
                by_list.setdefault(name, []).append(self._encode(message, queue, self._tag()))
                ids.setdefault(name, []).append(message.id)
            else:
                waiting += self.arguments(message)
        commands: list[Sequence[Any]] = []
        told: list[list[str]] = []
        for name, envelopes in by_list.items():
            for first in range(0, len(envelopes), _MOST):
                commands.append(("LPUSH", name, *envelopes[first : first + _MOST]))
                told.append(ids[name][first : first + _MOST])
        if not queues <= self._known:
            commands.append(("SADD", self._server.keys.queues, *queues))
        self._send(commands, told, [message.id for message in messages])
        if waiting:
            self._send_due(waiting, [message.id for message in messages if message.due is not None])
        self._known |= queues

    def _publish_one(self, message: Message) -> bool:
        """Publish a message that goes to one queue at once, quicker than many; False where it is none."""
        queue = message.queue or message.routing_key
        if message.due is not None or queue not in self._known or (message.exchange and not message.queue):
            return False
        ids = [message.id]
        command = "LPUSH", self._list_of(queue, message.priority), self._encode(message, queue, self._tag())
        self._send((command,), (ids,), ids)
        return True

    def _routed_or_unsent(self, messages: Sequence[Message]) -> Sequence[Message]:
        ids = [message.id for message in messages]
        try:
            return self.routed(messages)
        except BrokerError as error:
            raise PublishError(str(error), unsent=ids) from error

    def _send(self, commands: Sequence[Sequence[Any]], told: Sequence[list[str]], everything: list[str]) -> None:
        if not commands:
            return
        try:
            answers = self._server.link.attempt(commands, again=False)
        except Broken as error:
            raise PublishError(str(error), unsent=everything, maybe_sent=error.sent) from error
        refused = [
            (answer, ids) for answer, ids in zip(answers, told, strict=False) if isinstance(answer, ResponseError)
        ]
        if refused:
            unsent = [one for _, ids in refused for one in ids]
            raise PublishError(
                f"{self._server.link.address} refused {len(unsent)} messages: {refused[0][0]}", unsent=unsent
            )

    def _send_due(self, waiting: Sequence[Any], ids: list[str]) -> None:
        try:
            self._server.attempt(PUBLISH, *waiting)
        except Broken as error:
            raise PublishError(str(error), unsent=ids, maybe_sent=error.sent) from error
        except BrokerError as error:
            raise PublishError(str(error), unsent=ids) from error
