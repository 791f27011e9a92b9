"""Looking at queues, counting and emptying them."""

from __future__ import annotations

import time

from tq_core.contracts.broker import Broker, Consumer, Requeue
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.patience import nothing, take
from tq_core.testing.conformance.promises import promise


class CountingChecks(BrokerGround):
    """Looking at queues, counting and emptying them."""

    @promise("counting.depth", "depth() counts ready, parked and held messages", needs="depth")
    def test_depth_counts_ready_parked_and_held(self, broker: Broker, consumer: Consumer) -> None:
        empty = broker.depth(self.q)
        assert (empty.ready, empty.parked, empty.held) == (0, 0, 0)
        broker.publish([self.message() for _ in range(4)])
        if broker.capabilities.due_time:
            broker.publish([self.message(due=time.time() + 3600)])
        take(consumer, 1)
        depth = broker.depth(self.q)
        assert (depth.ready, depth.held) == (3, 1)
        assert depth.parked == (1 if broker.capabilities.due_time else 0)
        assert depth.oldest is None or depth.oldest >= 0

    @promise("counting.queues", "queues() lists the queues, sorted", needs="depth")
    def test_queues_are_listed_sorted(self, broker: Broker) -> None:
        broker.publish([self.message(queue="zebra"), self.message(queue="ape")])
        names = broker.queues()
        assert {self.name("ape"), self.name("zebra")} <= set(names)
        assert names == sorted(names)

    @promise("counting.peek", "peek() takes nothing", needs="peek")
    def test_peek_takes_nothing(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("a"), self.message("b")])
        if broker.capabilities.due_time:
            broker.publish([self.message("parked", due=time.time() + 3600)])
            assert ids(broker.peek(self.q)) == ["a", "b", "parked"]
        assert ids(broker.peek(self.q, 1)) == ["a"]
        assert broker.peek(self.name("unknown")) == []
        assert ids(take(consumer, 2)) == ["a", "b"]

    @promise("counting.purge", "purge() drops ready and parked messages, and not the held", needs="purge")
    def test_purge_drops_ready_and_parked_but_not_held(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("held"), self.message("ready"), self.message("elsewhere", "other")])
        expected = 1
        (held,) = take(consumer, 1)
        if broker.capabilities.due_time:
            broker.publish([self.message(due=time.time() + 3600)])
            expected = 2
        assert broker.purge(self.q) == expected
        assert nothing(consumer)
        assert list(consumer.settle([Requeue(held.tag)])) == []
        assert ids(take(consumer, 1)) == ["held"]
        assert broker.purge(self.q) == 0
