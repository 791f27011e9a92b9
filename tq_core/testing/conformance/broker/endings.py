"""The endings a consumer gives to what it holds."""

from __future__ import annotations

from collections.abc import Callable

from tq_core.contracts.broker import Ack, Broker, Consumer, Requeue
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.patience import nothing, take
from tq_core.testing.conformance.promises import promise


class EndingChecks(BrokerGround):
    """The endings a consumer gives to what it holds."""

    @promise("endings.ack", "an acked message is gone")
    def test_an_acked_message_is_gone(
        self, broker: Broker, consumer: Consumer, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([self.message(), self.message()])
        assert list(consumer.settle([Ack(d.tag) for d in take(consumer, 2)])) == []
        consumer.close()
        assert nothing(open_consumer())

    @promise("endings.held", "a held message is handed to nobody else")
    def test_a_held_message_is_nobody_elses(
        self, broker: Broker, consumer: Consumer, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([self.message()])
        take(consumer, 1)
        assert nothing(consumer)
        assert nothing(open_consumer())

    @promise("endings.requeue", "a requeued message is next, redelivered and counted")
    def test_a_requeued_message_is_next_and_counted(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("first"), self.message("second")])
        (delivery,) = take(consumer, 1)
        consumer.settle([Requeue(delivery.tag)])
        first, second = take(consumer, 2)
        assert ids([first, second]) == ["first", "second"]
        assert first.redelivered
        if broker.capabilities.delivery_count:
            assert (first.delivery_count, second.delivery_count) == (2, 1)

    @promise("endings.requeue-uncounted", "an uncounted requeue leaves no trace", needs="delivery_count")
    def test_an_uncounted_requeue_leaves_no_trace(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("first"), self.message("second")])
        for _ in range(3):
            (delivery,) = take(consumer, 1)
            assert (delivery.message.id, delivery.delivery_count) == ("first", 1)  # type: ignore[union-attr]  # readable
            assert not delivery.redelivered
            consumer.settle([Requeue(delivery.tag, uncounted=True)])

    @promise("endings.requeue-order", "requeued messages keep their order")
    def test_requeued_messages_keep_their_order(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("a"), self.message("b"), self.message("c")])
        deliveries = take(consumer, 2)
        consumer.settle([Requeue(d.tag, uncounted=True) for d in deliveries])
        assert ids(take(consumer, 3)) == ["a", "b", "c"]

    @promise("endings.count", "deliveries are counted", needs="delivery_count")
    def test_deliveries_are_counted(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message()])
        for count in (1, 2, 3):
            (delivery,) = take(consumer, 1)
            assert delivery.delivery_count == count
            consumer.settle([Requeue(delivery.tag)])

    @promise("endings.settle-twice", "settling a message twice does nothing and is reported", needs="lease")
    def test_settling_twice_does_nothing_and_is_reported(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message()])
        (delivery,) = take(consumer, 1)
        assert list(consumer.settle([Ack(delivery.tag)])) == []
        assert list(consumer.settle([Requeue(delivery.tag)])) == [delivery.tag]
        assert nothing(consumer)

    @promise("endings.follow-ups", "follow-ups are published with the ending")
    def test_follow_ups_are_published_with_the_ending(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("cause")])
        (delivery,) = take(consumer, 1)
        consumer.settle([Ack(delivery.tag)], [self.message("effect"), self.message("second effect")])
        assert ids(take(consumer, 2)) == ["effect", "second effect"]

    @promise("endings.follow-ups-alone", "settling nothing publishes the follow-ups")
    def test_settling_nothing_publishes_the_follow_ups(self, consumer: Consumer) -> None:
        assert list(consumer.settle([], [self.message("alone")])) == []
        assert ids(take(consumer, 1)) == ["alone"]

    @promise("endings.close", "a closed consumer gives back what it held, uncounted")
    def test_a_closed_consumer_gives_back_uncounted(
        self, broker: Broker, consumer: Consumer, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([self.message("a"), self.message("b")])
        take(consumer, 2)
        consumer.close()
        consumer.close()
        again = take(open_consumer(), 2)
        assert ids(again) == ["a", "b"]
        if broker.capabilities.delivery_count:
            assert [d.delivery_count for d in again] == [1, 1]

    @promise("endings.id-again", "a consumer id can be used again after close()")
    def test_a_consumer_id_can_be_used_again_after_close(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        open_consumer(consumer_id=self.name("me")).close()
        broker.publish([self.message("x")])
        assert ids(take(open_consumer(consumer_id=self.name("me")), 1)) == ["x"]
