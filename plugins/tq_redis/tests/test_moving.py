"""Moving messages to another queue, as far as it shows in Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from redis import Redis

from tq_core.contracts.broker import Broker
from tq_core.message import Message
from tq_core.testing.conformance.patience import take


def message(task_id: str, body: bytes = b"[]", due: float | None = None) -> Message:
    return Message(task_id, {"id": task_id}, body, queue="q", routing_key="q", due=due)


def test_a_celery_worker_would_find_a_moved_message_in_its_new_queue_when_it_is_due(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str
) -> None:
    broker = open_broker()
    broker.consumer(["q"], consumer_id="me")
    broker.publish([message("later", due=time.time() + 3600)])
    (before,) = redis.zrange(prefix + "unacked_index", 0, -1, withscores=True)
    assert broker.move("q", "r") == 1
    (value,) = redis.hvals(prefix + "unacked")
    envelope, exchange, routing_key = json.loads(value)
    assert (exchange, routing_key) == ("", "r")
    assert envelope["properties"]["correlation_id"] == "later"
    assert redis.zrange(prefix + "unacked_index", 0, -1, withscores=True) == [before]
    (parked,) = broker.peek("r")
    assert parked.message is not None
    assert parked.message.due is not None


def test_orphans_stay_orphans(open_broker: Callable[..., Broker]) -> None:
    broker = open_broker()
    consumer = broker.consumer(["q"], consumer_id="dead")
    broker.publish([message("begun")])
    consumer.begin([delivery.tag for delivery in take(consumer, 1)])
    broker.succeed("dead").close()
    assert broker.move("q", "r") == 1
    (delivery,) = take(broker.consumer(["r"], consumer_id="me"), 1)
    assert delivery.orphaned


def test_large_messages_are_moved_a_few_at_a_time_and_leave_nothing_behind(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str
) -> None:
    broker = open_broker()
    broker.publish([message(str(n), body=bytes(5 << 20)) for n in range(4)])
    assert broker.move("q", "r") == 4
    assert redis.keys(prefix + "q*") == []
    assert [delivery.message.id for delivery in broker.peek("r") if delivery.message] == ["0", "1", "2", "3"]
    assert "r" in broker.queues()
