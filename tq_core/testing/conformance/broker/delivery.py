"""Publishing and receiving."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tq_core.contracts.broker import Ack, Broker, Consumer
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.patience import PATIENCE, Thread, nothing, take
from tq_core.testing.conformance.promises import promise


class DeliveryChecks(BrokerGround):
    """Publishing and receiving."""

    @promise("delivery.intact", "a message arrives as it was sent: headers, body, properties")
    def test_a_message_arrives_as_it_was_sent(self, broker: Broker, consumer: Consumer) -> None:
        sent = self.message(
            "the-id",
            headers={"id": "the-id", "lang": "py", "text": "naïve ☃", "nested": {"a": [1, None, 2.5, True]}},
            body=bytes(range(256)),
            content_type="application/x-python-serialize",
            content_encoding="binary",
            reply_to="replies",
            delivery_mode=1,
        )
        broker.publish([sent])
        (delivery,) = take(consumer, 1)
        got = delivery.message
        assert got is not None
        assert (got.id, got.queue, delivery.queue) == ("the-id", self.q, self.q)
        assert dict(got.headers) == sent.headers
        assert bytes(got.body) == sent.body
        assert (got.content_type, got.content_encoding) == (sent.content_type, sent.content_encoding)
        assert (got.reply_to, got.delivery_mode) == ("replies", 1)
        assert delivery.defect is None
        assert (delivery.delivery_count, delivery.redelivered, delivery.orphaned) == (1, False, False)

    @promise("delivery.publish-nothing", "publishing nothing does nothing")
    def test_publishing_nothing_does_nothing(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([])
        assert nothing(consumer)

    @promise("delivery.order", "messages of a queue come in the order they were published")
    def test_messages_come_in_the_order_they_were_published(self, broker: Broker, consumer: Consumer) -> None:
        sent = [self.message() for _ in range(50)]
        for batch in (sent[:20], sent[20:21], sent[21:]):
            broker.publish(batch)
        assert ids(take(consumer, 50)) == [m.id for m in sent]

    @promise("delivery.same-id", "two messages of one id are two messages")
    def test_two_messages_of_one_id_are_two_messages(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("same"), self.message("same")])
        assert ids(take(consumer, 2)) == ["same", "same"]

    @promise("delivery.limit", "receive() takes no more than its limit")
    def test_receive_takes_no_more_than_its_limit(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message() for _ in range(5)])
        assert len(consumer.receive(2, 5.0)) <= 2

    @promise("delivery.first", "receive() does not wait for more than the first message")
    def test_receive_does_not_wait_for_more_than_the_first(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("one")])
        receiving = Thread(lambda: consumer.receive(100, 600.0))
        assert ids(receiving.result()) == ["one"]

    @promise("delivery.timeout", "receive() returns nothing when its time is over")
    def test_receive_returns_nothing_when_its_time_is_over(self, consumer: Consumer) -> None:
        assert consumer.receive(1, 0) == []
        assert consumer.receive(1, 0.05) == []

    @promise("delivery.wakes", "a publish ends the wait of a receiver")
    def test_a_publish_ends_the_wait_of_a_receiver(self, broker: Broker, other: Broker, consumer: Consumer) -> None:
        receiving = Thread(lambda: consumer.receive(1, 600.0))
        assert not receiving.ended(0.2)
        other.publish([self.message("late")])
        assert ids(receiving.result()) == ["late"]

    @promise("delivery.wake", "wake() ends the wait of a receiver")
    def test_wake_ends_the_wait_of_a_receiver(self, consumer: Consumer) -> None:
        receiving = Thread(lambda: consumer.receive(1, 600.0))
        deadline = time.monotonic() + PATIENCE
        while not receiving.ended(0.05) and time.monotonic() < deadline:
            consumer.wake()
        assert receiving.result(0) == []

    @promise("delivery.queues", "a consumer receives from all its queues and from no other")
    def test_a_consumer_receives_from_all_its_queues_and_no_other(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        consumer = open_consumer("a", "b")
        broker.publish([self.message("1", "a"), self.message("2", "b"), self.message("3", "c")])
        assert sorted((d.queue, d.message.id) for d in take(consumer, 2) if d.message) == [
            (self.name("a"), "1"),
            (self.name("b"), "2"),
        ]
        assert nothing(consumer)

    @promise("delivery.set-queues", "set_queues() changes where from, and what is held stays held")
    def test_set_queues_changes_where_from_and_keeps_what_is_held(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        consumer = open_consumer("a")
        broker.publish([self.message("held", "a")])
        (held,) = take(consumer, 1)
        consumer.set_queues([self.name("b")])
        broker.publish([self.message("left", "a"), self.message("new", "b")])
        assert ids(take(consumer, 1)) == ["new"]
        assert nothing(consumer)
        assert list(consumer.settle([Ack(held.tag)])) == []

    @promise("delivery.once", "of several consumers, one gets each message")
    def test_each_message_goes_to_one_consumer(
        self, broker: Broker, other: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        sent = [self.message() for _ in range(300)]
        got: list[str] = []
        everything = threading.Event()
        lock = threading.Lock()

        def drain(consumer: Consumer) -> None:
            while not everything.is_set():
                deliveries = consumer.receive(7, 0.1)
                consumer.settle([Ack(d.tag) for d in deliveries])
                with lock:
                    got.extend(ids(deliveries))
                    if len(got) >= len(sent):
                        everything.set()

        consumers = [open_consumer(on=on) for on in (broker, other, broker, other)]
        threads = [Thread(lambda c=c: drain(c)) for c in consumers]  # type: ignore[misc]  # c is bound per thread
        broker.publish(sent[:150])
        other.publish(sent[150:])
        assert everything.wait(PATIENCE), f"{len(got)} of {len(sent)} messages arrived"
        for thread in threads:
            thread.result()
        assert sorted(got) == sorted(m.id for m in sent)

    @promise("delivery.threads", "many threads may publish through one broker")
    def test_many_threads_may_publish_through_one_broker(self, broker: Broker, consumer: Consumer) -> None:
        batches = [[self.message() for _ in range(20)] for _ in range(8)]
        threads = [Thread(lambda b=b: broker.publish(b)) for b in batches]  # type: ignore[misc]  # b is bound per thread
        for thread in threads:
            thread.result()
        assert sorted(ids(take(consumer, 160))) == sorted(m.id for batch in batches for m in batch)
