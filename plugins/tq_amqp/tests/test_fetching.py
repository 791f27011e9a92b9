"""Many messages at a time: in their order, none beyond what was asked for, and none lost or doubled."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tq_core.contracts.broker import Ack, Broker, Consumer, Requeue
from tq_core.message import Delivery
from tq_core.testing.conformance.broker import ids, message
from tq_core.testing.conformance.patience import nothing, take, until

KINDS = ("classic", "quorum")


@pytest.fixture(params=KINDS)
def opener(opener: Callable[..., Broker], request: pytest.FixtureRequest) -> Callable[[], Broker]:
    """Opens brokers that make queues of either kind."""
    return partial(opener, task_create_missing_queue_type=request.param)


@pytest.fixture
def name() -> str:
    """A name of the test's own."""
    return f"fetching-{uuid.uuid4().hex[:8]}"


def consumer(broker: Broker, *queues: str) -> Consumer:
    return broker.consumer(queues, consumer_id=f"consumer-{uuid.uuid4().hex[:8]}")


def numbered(count: int, queue: str, letter: str = "m") -> list[Any]:
    return [message(f"{letter}{number:03}", queue) for number in range(count)]


def acked(consumer: Consumer, deliveries: list[Delivery]) -> list[str]:
    consumer.settle([Ack(delivery.tag) for delivery in deliveries])
    return ids(deliveries)


def all_of(consumer: Consumer, count: int, limit: int) -> list[str]:
    """Receive and acknowledge ``count`` messages, up to ``limit`` at a time."""
    got: list[str] = []

    def step() -> bool:
        deliveries = consumer.receive(limit, 0.2)
        assert len(deliveries) <= limit
        got.extend(acked(consumer, deliveries))
        return len(got) >= count

    until(step, "messages are lost")
    return got


def test_batches_of_all_sizes_come_in_order_and_once(opener: Callable[[], Broker], name: str) -> None:
    broker = opener()
    sent = numbered(400, name)
    broker.publish(sent)
    receiver = consumer(broker, name)
    got: list[str] = []
    for limit in (1, 2, 100, 7, 8, 50, 1, 200, 1000):
        deliveries = receiver.receive(limit, 1.0)
        assert len(deliveries) <= limit
        got += acked(receiver, deliveries)
    got += all_of(receiver, 400 - len(got), 50) if len(got) < 400 else []
    assert got == [one.id for one in sent]
    assert nothing(receiver)


def test_what_is_given_back_comes_before_the_rest_of_a_long_queue(opener: Callable[[], Broker], name: str) -> None:
    broker = opener()
    sent = [one.id for one in numbered(300, name)]
    broker.publish(numbered(300, name))
    first, second = consumer(broker, name), consumer(opener(), name)
    kept = take(first, 20)
    assert acked(second, second.receive(50, 1.0)) == sent[20:70]
    first.settle([Requeue(delivery.tag) for delivery in kept])
    # The queue was full of others a moment ago, so that nobody would have to look what was given back since.
    got = all_of(second, 250, 50)
    assert got[:20] == sent[:20]
    assert sorted(got) == sorted(sent[:20] + sent[70:])
    assert got[20:] == sent[70:]


def test_who_has_room_for_a_few_leaves_the_rest_to_others(opener: Callable[[], Broker], name: str) -> None:
    broker = opener()
    broker.publish(numbered(100, name))
    modest, other = consumer(broker, name), consumer(opener(), name)
    assert len(take(modest, 3)) == 3
    assert len(modest.receive(30, 1.0)) == 30
    assert len(take(other, 67)) == 67


def test_an_acknowledgement_is_heard_although_nobody_waits_for_that(opener: Callable[[], Broker], name: str) -> None:
    broker = opener()
    broker.publish(numbered(100, name))
    receiver = consumer(broker, name)
    got = acked(receiver, take(receiver, 60))
    receiver.close()
    rest = take(consumer(opener(), name), 40)
    assert not any(delivery.redelivered for delivery in rest)
    assert not set(got) & set(ids(rest))


def test_a_waiting_receiver_prefers_what_was_given_back(opener: Callable[[], Broker], name: str) -> None:
    broker = opener()
    giver, waiter = consumer(broker, name), consumer(opener(), name)
    broker.publish(numbered(5, name))
    held = take(giver, 5)
    assert nothing(waiter)
    giver.settle([Requeue(delivery.tag, uncounted=True) for delivery in held])
    broker.publish([message("new", name)])
    got = all_of(waiter, 6, 2)
    assert got == [*ids(held), "new"]


def test_many_queues_share_a_small_room_fairly(opener: Callable[[], Broker], name: str) -> None:
    broker = opener()
    names = [f"{name}.{number}" for number in range(3)]
    for queue in names:
        broker.publish(numbered(60, queue, queue))
    receiver = consumer(broker, *names)
    seen: set[str] = set()
    got: list[str] = []
    for _ in range(3):
        deliveries = receiver.receive(10, 1.0)
        assert len(deliveries) <= 10
        seen |= {delivery.queue for delivery in deliveries}
        got += acked(receiver, deliveries)
    assert seen == set(names)
    got += all_of(receiver, 180 - len(got), 64)
    assert len(got) == len(set(got)) == 180
    for queue in names:
        mine = [one for one in got if one.startswith(queue)]
        assert mine == sorted(mine)
