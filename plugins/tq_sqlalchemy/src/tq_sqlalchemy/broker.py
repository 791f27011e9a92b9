"""Queues in a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import sqlalchemy as sa

from tq_core.contracts.broker import (
    Broker,
    BrokerRequest,
    Consumer,
    DeadLetter,
    QueueDepth,
    Subscription,
    Succession,
)
from tq_core.errors import BrokerError, BrokerUnavailable, PublishError
from tq_core.message import Delivery, Message
from tq_sqlalchemy.address import dialect_of
from tq_sqlalchemy.capabilities import BROKER_CAPABILITIES
from tq_sqlalchemy.consumer import DatabaseConsumer
from tq_sqlalchemy.database import ONCE, Session, Terms, Uncertain
from tq_sqlalchemy.dead_letters import Cemetery
from tq_sqlalchemy.dialect import Dialect
from tq_sqlalchemy.envelope import rows_of, wakes_of
from tq_sqlalchemy.holding import Holding
from tq_sqlalchemy.leases import inherit, register
from tq_sqlalchemy.migrations import migrate
from tq_sqlalchemy.models import queues as queue_tables
from tq_sqlalchemy.options import TransportOptions
from tq_sqlalchemy.queues import Queues
from tq_sqlalchemy.subscription import DatabaseSubscription, expire, send
from tq_sqlalchemy.succession import DatabaseSuccession

#: A caller who sends is told at once that the server refuses; the producer decides whether to try again.
PUBLISH = Terms(refusal=0.0)

#: The guard of those who broadcast.
BROADCASTS = "broadcasts"

#: Every so many broadcasts the old ones are swept out.
SWEEP_EVERY = 256


class DatabaseBroker(Broker):
    """A broker in one database.

    Args:
        dialect: which one.
        options: ``broker_transport_options``, checked.
    """

    capabilities = BROKER_CAPABILITIES

    def __init__(self, dialect: Dialect, options: TransportOptions) -> None:
        self._options = options
        self._publishing = PUBLISH._replace(patience=min(options.busy_timeout, options.publish_timeout))
        self._dialect = dialect
        self._verbs = dialect.messages
        self._database = dialect.database(
            unavailable=BrokerUnavailable,
            failure=BrokerError,
            patience=options.busy_timeout,
            engine_options=options.engine_options,
            prepare=self._prepare,
        )
        self._doorbell = dialect.doorbell(self._database, enabled=options.doorbell)
        self._cemetery = Cemetery(self._database, options)
        self._queues = Queues(self._database, dialect)

    def _prepare(self, connection: sa.Connection) -> None:
        migrate(connection, "queues", queue_tables, str(self._dialect))
        self._dialect.prepare_queues(connection)

    @classmethod
    def from_request(cls, request: BrokerRequest) -> DatabaseBroker:
        """Open the broker a hook was asked for.

        Raises:
            ImproperlyConfigured: the URL or an option cannot be used.
        """
        return cls(dialect_of(request.url), TransportOptions.from_settings(request.settings))

    def connect(self, timeout: float) -> None:
        self._database.connect(timeout)

    def publish(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        rows = rows_of(messages)
        counts = wakes_of(rows)
        try:
            if len(rows) <= self._verbs.rows_at_once and self._queues.knows(counts):
                self._database.once(lambda session: self._verbs.insert(session, rows, counts), self._publishing)
            else:

                def work(session: Session) -> None:
                    self._queues.learn(session, counts)
                    self._verbs.insert(session, rows, counts)

                self._database.write(work, self._publishing)
        except BrokerError as error:
            uncertain = isinstance(error.__cause__, Uncertain)
            unsent = [message.id for message in messages]
            raise PublishError(str(error), unsent=unsent, maybe_sent=uncertain) from error
        for queue, count in counts.items():
            if count and not self._verbs.insert_rings:
                self._doorbell.ring("consumers", queue, count)

    def consumer(self, queues: Sequence[str], *, consumer_id: str, prefetch: int = 0) -> Consumer:
        def work(session: Session) -> int:
            self._queues.learn(session, queues)
            return register(session, consumer_id)

        holding = self._holding(self._database.write(work))
        return DatabaseConsumer(
            self._database,
            self._verbs,
            holding,
            self._doorbell,
            queues,
            consumer_id=consumer_id,
            lease=self._options.lease_duration,
            ring=self._ring,
        )

    def succeed(self, consumer_id: str) -> Succession:
        fence = self._database.write(lambda session: inherit(session, consumer_id))
        return DatabaseSuccession(self._database, self._verbs, self._holding(fence))

    def _holding(self, fence: int) -> Holding:
        return Holding(self._database, self._verbs, fence, self._cemetery, self._ring, self._queues.learn)

    def _ring(self, queues: Iterable[str], count: int) -> None:
        for queue in queues:
            self._doorbell.ring("consumers", queue, count)

    def close(self) -> None:
        self._doorbell.close()
        self._database.close()

    # broadcasts

    def broadcast(self, channel: str, payload: bytes) -> None:
        # One at a time: listeners go by the numbers, so that a smaller one must never be committed after a larger one.
        number = self._database.write(lambda session: send(session, channel, payload), ONCE, guards=[BROADCASTS])
        self._doorbell.ring("listeners", channel, 1 << 30)
        if number % SWEEP_EVERY == 0:
            self._database.once(lambda session: expire(session, self._options.broadcast_expires))

    def listen(self, channel: str) -> Subscription:
        return DatabaseSubscription(self._database, self._verbs, self._doorbell.bell("listeners", [channel]), channel)

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
        moved = 0
        for count in self._queues.move(source, target, limit):
            self._doorbell.ring("consumers", target, count)
            moved += count
        return moved

    def pause(self, queue: str) -> None:
        self._queues.set_paused(queue, True)

    def resume(self, queue: str) -> None:
        self._queues.set_paused(queue, False)
        self._doorbell.ring("consumers", queue, 1 << 30)

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
        found = self._cemetery.exhume(letter_ids)
        for queue, count in found.items():
            self._doorbell.ring("consumers", queue, count)
        return sum(found.values())

    def drop_dead(self, letter_ids: Sequence[str]) -> int:
        return self._cemetery.drop(letter_ids)
