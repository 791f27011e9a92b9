"""Forking beside open connections."""

from __future__ import annotations

from collections.abc import Callable

from tq_core.contracts.broker import Ack, Broker, Consumer
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.forking import Restless, in_a_fork
from tq_core.testing.conformance.patience import take
from tq_core.testing.conformance.promises import promise


class ForkChecks(BrokerGround):
    """Forking beside open connections."""

    @promise(
        "fork.both", "after a fork parent and child both go on: the child connects anew, the parent keeps its holds"
    )
    def test_parent_and_child_both_go_on(
        self, broker: Broker, consumer: Consumer, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([self.message("held")])
        (held,) = take(consumer, 1)

        def child() -> None:
            broker.publish([self.message("from the child"), self.message("for the child", "childs")])
            mine = broker.consumer([self.name("childs")], consumer_id=self.name("child"))
            (delivery,) = take(mine, 1)
            assert ids([delivery]) == ["for the child"]
            assert list(mine.settle([Ack(delivery.tag)])) == []
            mine.close()
            broker.close()

        in_a_fork(child)
        self.message(queue="childs")  # so that the queue is tidied up, too
        broker.publish([self.message("from the parent")])
        expected = {"from the child", "from the parent"} if broker.capabilities.shared else {"from the parent"}
        assert set(ids(take(consumer, len(expected)))) == expected
        assert list(consumer.settle([Ack(held.tag)])) == []

    @promise("fork.busy", "a fork while other threads use the broker leaves the child a broker that works")
    def test_a_fork_beside_busy_threads(self, broker: Broker, other: Broker) -> None:
        def child() -> None:
            broker.publish([self.message("from the child", "childs")])
            mine = broker.consumer([self.name("childs")], consumer_id=self.name("child"))
            assert ids(take(mine, 1)) == ["from the child"]

        self.message(queue="childs")
        noise = self.message(queue="noise")
        with Restless(lambda: broker.publish([noise])):
            in_a_fork(child)

    @promise("fork.closed", "a child that closes what it inherited leaves the parent's consumer alone")
    def test_a_child_that_closes_leaves_the_parent_alone(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("held"), self.message("next")])
        (held,) = take(consumer, 1)
        in_a_fork(broker.close)
        assert ids(take(consumer, 1)) == ["next"]
        assert list(consumer.settle([Ack(held.tag)])) == []
