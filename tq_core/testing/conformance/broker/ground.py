"""What the checks of a broker stand on: brokers, consumers and messages."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from tq_core.contracts.broker import Broker, Consumer
from tq_core.errors import TQError
from tq_core.message import Message
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.promises import Conformance

_numbers = itertools.count(1)


def message(id_: str = "", queue: str = "q", **fields: Any) -> Message:
    """Make a small message with a unique id."""
    id_ = id_ or f"m{next(_numbers)}"
    fields.setdefault("headers", {"id": id_, "task": "conformance"})
    fields.setdefault("body", b"[[], {}, {}]")
    fields.setdefault("routing_key", queue)
    return Message(id=id_, queue=queue, **fields)


def ids(deliveries: Sequence[Any]) -> list[str]:
    """Return the message ids of deliveries, in order."""
    return [delivery.message.id for delivery in deliveries]


class BrokerGround(Conformance):
    """The fixtures of every broker check.

    Override ``address``, or ``broker`` (and ``other`` where the broker is ``shared``). The broker's leases must
    last :attr:`LEASE` seconds (setting ``lease_duration``).
    """

    contract: ClassVar[str] = "broker"

    #: Lease in seconds the broker under test is to be opened with.
    LEASE: ClassVar[float] = 1.0

    @pytest.fixture
    def address(self) -> Address | None:
        """Where the plugin is, for checks that open it in other processes; None leaves those out."""
        return None

    @pytest.fixture
    def broker(self, address: Address | None) -> Iterator[Broker]:
        """A broker; to be overridden where there is no ``address``."""
        if address is None:
            raise NotImplementedError("override the fixture `address`, or `broker`")
        broker = address.broker(lease_duration=self.LEASE)
        yield broker
        broker.close()

    @pytest.fixture
    def other(self, broker: Broker, address: Address | None) -> Iterator[Broker]:
        """A second connection to the same queues; the same one where the broker is not ``shared``."""
        if address is None or not broker.capabilities.shared:
            yield broker
            return
        other = address.broker(lease_duration=self.LEASE)
        yield other
        other.close()

    @pytest.fixture
    def open_consumer(self, broker: Broker) -> Iterator[Callable[..., Consumer]]:
        """Opens consumers, of :attr:`q` when no queue is named, and closes them after the test."""
        opened: list[Consumer] = []

        def opener(*queues: str, consumer_id: str = "", on: Broker | None = None, prefetch: int = 0) -> Consumer:
            name = consumer_id or self.name(f"consumer-{next(_numbers)}")
            names = [self.name(queue) for queue in queues] or [self.q]
            consumer = (on or broker).consumer(names, consumer_id=name, prefetch=prefetch)
            opened.append(consumer)
            return consumer

        yield opener
        for consumer in opened:
            consumer.close()

    @pytest.fixture
    def consumer(self, open_consumer: Callable[..., Consumer]) -> Consumer:
        """A consumer of the queue :attr:`q`."""
        return open_consumer()

    @pytest.fixture(autouse=True)
    def _clean(self, _only_what_is_declared: None, broker: Broker) -> Iterator[None]:
        """Leave nothing behind in a store that may be shared."""
        self._queues = {self.q}
        yield
        able = broker.capabilities
        for queue in self._queues:
            with suppress(TQError):  # the check may have closed it, or cut its connection
                if able.pause:
                    broker.resume(queue)
                if able.purge:
                    broker.purge(queue)
                if able.dead_letters:
                    broker.drop_dead([letter.letter_id for letter in broker.dead_letters(queue=queue)])

    _queues: set[str]

    @property
    def q(self) -> str:
        """The queue of this check."""
        return self.name("q")

    def message(self, id_: str = "", queue: str = "q", **fields: Any) -> Message:
        """Make a small message for a queue of this check."""
        name = self.name(queue)
        self._queues.add(name)
        return message(id_, name, **fields)
