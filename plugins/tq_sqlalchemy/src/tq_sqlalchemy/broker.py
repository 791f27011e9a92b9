"""Queues in a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tq_core.contracts.broker import (
    Broker,
    BrokerRequest,
    Consumer,
    DeadLetter,
    QueueDepth,
    Subscription,
    Succession,
)
from tq_core.errors import BrokerUnavailable, PublishError
from tq_core.message import Delivery, Message
from tq_sqlalchemy.address import Address, parse_address
from tq_sqlalchemy.consumer import DatabaseConsumer
from tq_sqlalchemy.dead_letters import Cemetery
from tq_sqlalchemy.doorbell import Doorbell
from tq_sqlalchemy.envelope import rows_of
from tq_sqlalchemy.holding import Holding
from tq_sqlalchemy.leases import inherit, register
from tq_sqlalchemy.migrations import migrate
from tq_sqlalchemy.models import READY
from tq_sqlalchemy.models import queues as queue_tables
from tq_sqlalchemy.options import TransportOptions
from tq_sqlalchemy.plugin import BROKER_CAPABILITIES
from tq_sqlalchemy.queues import Queues
from tq_sqlalchemy.session import Database, Session
from tq_sqlalchemy.sqlite.messages import insert_messages
from tq_sqlalchemy.subscription import DatabaseSubscription, expire, send
from tq_sqlalchemy.succession import DatabaseSuccession

#: A parked message due within so many seconds wakes somebody, who then waits for just that moment.
SOON = 2.0

#: Every so many broadcasts the old ones are swept out.
SWEEP_EVERY = 256


class DatabaseBroker(Broker):
    """A broker in one database file.

    Args:
        address: the file.
        options: ``broker_transport_options``, checked.
    """

    capabilities = BROKER_CAPABILITIES

    def __init__(self, address: Address, options: TransportOptions) -> None:
        self._options = options
        self._database = Database(
            address,
            unavailable=BrokerUnavailable,
            busy_timeout=options.busy_timeout,
            engine_options=options.engine_options,
            prepare=lambda connection: migrate(connection, "queues", queue_tables, str(address)),
        )
        self._doorbell = Doorbell(address.path, options.doorbell)
        self._cemetery = Cemetery(self._database, options)
        self._queues = Queues(self._database)

    @classmethod
    def from_request(cls, request: BrokerRequest) -> DatabaseBroker:
        """Open the broker a hook was asked for.

        Raises:
            ImproperlyConfigured: the URL or an option cannot be used.
        """
        return cls(parse_address(request.url), TransportOptions.from_settings(request.settings))

    def connect(self, timeout: float) -> None:
        self._database.connect(timeout)

    def publish(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        rows = rows_of(messages)
        counts: dict[str, int] = {}
        for row in rows:
            if row[4] == READY or row[3] - row[5] < SOON:
                counts[row[1]] = counts.get(row[1], 0) + 1
            elif row[1] not in counts:
                counts[row[1]] = 0
        try:
            if len(rows) == 1 and self._queues.knows(counts):
                self._database.once(lambda session: insert_messages(session.open(), rows))
            else:

                def work(session: Session) -> None:
                    self._queues.learn(session, counts)
                    insert_messages(session.open(), rows)

                self._database.write(work)
        except BrokerUnavailable as error:
            raise PublishError(str(error), unsent=[message.id for message in messages]) from error
        for queue, count in counts.items():
            if count:
                self._doorbell.ring("consumers", queue, count)

    def consumer(self, queues: Sequence[str], *, consumer_id: str, prefetch: int = 0) -> Consumer:
        def work(session: Session) -> int:
            self._queues.learn(session, queues)
            return register(session, consumer_id)

        holding = self._holding(self._database.write(work))
        return DatabaseConsumer(
            self._database,
            holding,
            self._doorbell,
            queues,
            consumer_id=consumer_id,
            lease=self._options.lease_duration,
            ring=self._ring,
        )

    def succeed(self, consumer_id: str) -> Succession:
        fence = self._database.write(lambda session: inherit(session, consumer_id))
        return DatabaseSuccession(self._database, self._holding(fence))

    def _holding(self, fence: int) -> Holding:
        return Holding(self._database, fence, self._cemetery, self._ring, self._queues.learn)

    def _ring(self, queues: Iterable[str], count: int) -> None:
        for queue in queues:
            self._doorbell.ring("consumers", queue, count)

    def close(self) -> None:
        self._database.close()
        self._doorbell.close()

    # broadcasts

    def broadcast(self, channel: str, payload: bytes) -> None:
        number = self._database.once(lambda session: send(session, channel, payload))
        self._doorbell.ring("listeners", channel, 1 << 30)
        if number % SWEEP_EVERY == 0:
            self._database.once(lambda session: expire(session, self._options.broadcast_expires))

    def listen(self, channel: str) -> Subscription:
        return DatabaseSubscription(self._database, self._doorbell.bell("listeners", [channel]), channel)

    # queues

    def queues(self) -> list[str]:
        return self._queues.names()

    def depth(self, queue: str) -> QueueDepth:
        return self._queues.depth(queue)

    def peek(self, queue: str, limit: int = 10) -> list[Delivery]:
        return self._queues.peek(queue, limit)

    def purge(self, queue: str) -> int:
        return self._queues.purge(queue)

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
