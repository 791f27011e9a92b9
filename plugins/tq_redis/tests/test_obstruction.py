"""A key that is no list stands where a queue's list belongs: nothing is lost, and the other queues go on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest
from redis import Redis

from tq_core.contracts.broker import Ack, Broker, Park, Requeue
from tq_core.errors import PublishError
from tq_core.message import Delivery, Message
from tq_core.testing.conformance.patience import take, until


def message(task_id: str, queue: str, **fields: int) -> Message:
    return Message(task_id, {"id": task_id}, b"[]", queue=queue, routing_key=queue, **fields)  # type: ignore[arg-type]  # priority


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.id for delivery in deliveries if delivery.message]


def test_what_other_lists_hold_is_handed_out(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = open_broker()
    consumer = broker.consumer(["q", "r"], consumer_id="me")
    redis.set(prefix + "q", "somebody's")
    broker.publish([message("urgent", "r"), message("less", "r", priority=5)])
    with caplog.at_level(logging.ERROR):
        assert ids(take(consumer, 2)) == ["urgent", "less"]
        assert consumer.receive(1, 0.1) == []
    (record,) = caplog.records
    assert f"{prefix}q" in record.getMessage()
    assert "holds a string" in record.getMessage()
    assert redis.get(prefix + "q") == b"somebody's"


def test_the_queue_goes_on_once_the_key_is_gone(open_broker: Callable[..., Broker], redis: Redis, prefix: str) -> None:
    broker = open_broker()
    consumer = broker.consumer(["q"], consumer_id="me")
    redis.hset(prefix + "q", "a", "b")
    assert consumer.receive(1, 0.1) == []
    with pytest.raises(PublishError) as refused:
        broker.publish([message("refused", "q")])
    assert "WRONGTYPE" in str(refused.value)
    assert not refused.value.maybe_sent
    redis.delete(prefix + "q")
    broker.publish([message("taken", "q")])
    assert ids(take(consumer, 1)) == ["taken"]


@pytest.mark.parametrize("word", ["requeued", "parked", "abandoned"])
def test_what_comes_back_waits_until_the_key_is_gone(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str, word: str
) -> None:
    broker = open_broker(lease_duration=1.0)
    consumer = broker.consumer(["q"], consumer_id="me")
    broker.publish([message("a", "q"), message("b", "q")])
    held = take(consumer, 2)
    redis.set(prefix + "q", "somebody's")
    match word:
        case "requeued":
            assert list(consumer.settle([Requeue(delivery.tag) for delivery in held])) == []
        case "parked":
            assert list(consumer.settle([Park(delivery.tag, time.time()) for delivery in held])) == []
            assert consumer.receive(1, 0) == []
        case "abandoned":
            broker.succeed("me").close()
    parked = redis.zcard(prefix + "tq:due:q")
    assert parked == 2
    redis.delete(prefix + "q")
    # As after the seconds that they wait for the next try.
    redis.zadd(prefix + "tq:due:q", dict.fromkeys(redis.zrange(prefix + "tq:due:q", 0, -1), 0))
    taken = take(broker.consumer(["q"], consumer_id="other"), 2)
    assert sorted(ids(taken)) == ["a", "b"]


def test_a_follow_up_waits_and_what_it_follows_from_is_ended(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str
) -> None:
    broker = open_broker()
    consumer = broker.consumer(["q"], consumer_id="me")
    broker.publish([message("cause", "q")])
    redis.set(prefix + "r", "somebody's")
    (cause,) = take(consumer, 1)
    assert list(consumer.settle([Ack(cause.tag)], [message("effect", "r")])) == []
    assert broker.depth("q").held == 0
    assert redis.zcard(prefix + "tq:due:r") == 1
    redis.delete(prefix + "r")
    redis.zadd(prefix + "tq:due:r", dict.fromkeys(redis.zrange(prefix + "tq:due:r", 0, -1), 0))
    assert ids(take(broker.consumer(["r"], consumer_id="other"), 1)) == ["effect"]


def test_what_a_celery_worker_left_waits_until_the_key_is_gone(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str
) -> None:
    broker = open_broker(broker_transport_options={"visibility_timeout": 10})
    consumer = broker.consumer(["q"], consumer_id="me")
    broker.publish([message("left", "q")])
    (raw,) = redis.lrange(prefix + "q", 0, -1)
    redis.delete(prefix + "q")
    redis.hset(prefix + "unacked", "tag", b"[" + raw + b', "", "q"]')
    redis.zadd(prefix + "unacked_index", {"tag": time.time() - 60})
    redis.set(prefix + "q", "somebody's")
    consumer.renew()
    assert redis.hexists(prefix + "unacked", "tag")
    redis.delete(prefix + "q")
    until(lambda: consumer.renew() or redis.llen(prefix + "q"), "it was not restored")
    (delivery,) = take(consumer, 1)
    assert ids([delivery]) == ["left"]
    consumer.settle([Ack(delivery.tag)])
