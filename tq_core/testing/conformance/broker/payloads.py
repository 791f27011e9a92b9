"""Big, binary, odd and many messages."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tq_core.contracts.broker import Ack, Broker, Consumer
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.patience import nothing, take
from tq_core.testing.conformance.promises import promise


class PayloadChecks(BrokerGround):
    """Big, binary, odd and many messages."""

    @promise("payload.bodies", "bodies of any bytes arrive: empty, binary, ten million bytes")
    @pytest.mark.parametrize("kind", ["empty", "zeros", "binary", "large"])
    def test_bodies_of_any_bytes_arrive(self, broker: Broker, consumer: Consumer, kind: str) -> None:
        body = {
            "empty": b"",
            "zeros": bytes(1000),
            "binary": random.Random(1).randbytes(100_000),
            "large": random.Random(2).randbytes(10_000) * 1000,
        }[kind]
        broker.publish([self.message(body=body, content_encoding="binary")])
        (delivery,) = take(consumer, 1)
        assert delivery.message is not None
        got = bytes(delivery.message.body)
        assert len(got) == len(body)
        assert got == body, "the body was changed"

    @promise(
        "payload.headers", "headers of any text arrive: NUL, every plane of Unicode, a hundred thousand characters"
    )
    def test_headers_of_any_text_arrive(self, broker: Broker, consumer: Consumer) -> None:
        headers = {
            "id": "odd",
            "task": "tâche.☃.🎈",
            "nul": "before\x00after",
            "controls": "".join(map(chr, range(1, 32))) + "\x7f\x85\u2028",
            "quotes": "'\"`\\ %s {} $1 ;--",
            "long": "x" * 100_000,
            "ключ": {"嵌套": ["ü", None, -(2**53), 1.5, {"": ""}]},
        }
        broker.publish([self.message("odd", headers=headers)])
        (delivery,) = take(consumer, 1)
        assert delivery.defect is None
        assert delivery.message is not None
        assert dict(delivery.message.headers) == headers

    @promise("payload.names", "queues and tasks may have any printable name")
    @pytest.mark.parametrize("word", ["ü☃🎈", "with space", "a.b:c/d", "Mixed", "x" * 150, "quote'\"%s{}"])
    def test_queues_may_have_any_printable_name(
        self, broker: Broker, open_consumer: Callable[..., Consumer], word: str
    ) -> None:
        consumer = open_consumer(word)
        broker.publish([self.message(f"id {word}", word)])
        (delivery,) = take(consumer, 1)
        assert (delivery.queue, ids([delivery])) == (self.name(word), [f"id {word}"])
        assert list(consumer.settle([Ack(delivery.tag)])) == []

    @promise("payload.case", "queue names that differ in case or in a trailing space are different queues")
    def test_similar_names_are_different_queues(self, broker: Broker, open_consumer: Callable[..., Consumer]) -> None:
        words = ["name", "NAME", "name ", "näme"]
        broker.publish([self.message(word, word) for word in words])
        for word in words:
            consumer = open_consumer(word)
            assert ids(take(consumer, 1)) == [word]
            assert nothing(consumer)

    @promise("payload.many-queues", "a consumer may read many queues")
    def test_a_consumer_may_read_many_queues(self, broker: Broker, open_consumer: Callable[..., Consumer]) -> None:
        words = [f"queue-{n:02}" for n in range(60)]
        consumer = open_consumer(*words)
        broker.publish([self.message(word, word) for word in words])
        deliveries = take(consumer, len(words))
        assert sorted((d.queue, d.message.id) for d in deliveries if d.message) == [(self.name(w), w) for w in words]

    @promise("payload.bulk", "thousands of messages given at once are all taken, in order, and drained in batches")
    def test_thousands_of_messages_are_taken_at_once(self, broker: Broker, consumer: Consumer) -> None:
        sent = [self.message() for _ in range(5000)]
        broker.publish(sent)
        got: list[str] = []
        while len(got) < len(sent):
            deliveries = take(consumer, 1) + consumer.receive(500, 0)
            assert list(consumer.settle([Ack(delivery.tag) for delivery in deliveries])) == []
            got += ids(deliveries)
        assert got == [message.id for message in sent]

    @promise("payload.bulk-due", "many due times are kept to the hundredth of a second", needs="due_time")
    def test_many_due_times_are_kept(self, broker: Broker, consumer: Consumer) -> None:
        start = time.time() + 0.3
        dues = {f"{n:02}": start + n * 0.02 for n in range(30)}
        broker.publish([self.message(name, due=due) for name, due in reversed(dues.items())])
        got: list[str] = []
        while len(got) < len(dues):
            deliveries = take(consumer, 1)
            now = time.time()
            assert all(now >= dues[name] - 0.01 for name in ids(deliveries)), "a message came early"
            got += ids(deliveries)
        # What becomes due between two looks comes together, in no order that was promised.
        assert sorted(got) == sorted(dues)
