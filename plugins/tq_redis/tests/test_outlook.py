"""A consumer that has seen that there is nothing to take asks no more, and still misses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tq_redis import consumer as consumers

from tests.private_servers import private_redis
from tq_core.contracts.broker import Broker, BrokerRequest, Consumer, Park
from tq_core.message import Message

PATIENCE = 20.0


def message(task_id: str, **fields: object) -> Message:
    return Message(task_id, {"id": task_id}, b"[]", queue="q", routing_key="q", **fields)  # type: ignore[arg-type]


def take(consumer: Consumer) -> list[str]:
    """Receive once, for as long as a worker would; return the ids."""
    return [delivery.message.id for delivery in consumer.receive(10, PATIENCE) if delivery.message]


@pytest.fixture
def idle(open_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch) -> tuple[Broker, Consumer]:
    """A broker, and a consumer that has found nothing and does not look again out of caution."""
    monkeypatch.setattr(consumers, "TEND_EVERY", 3600.0)
    broker = open_broker(lease_duration=14_400.0)
    consumer = broker.consumer(["q"], consumer_id="me")
    assert consumer.receive(10, 0.05) == []
    assert consumer.receive(10, 0.05) == []
    return broker, consumer


def test_what_is_published_meanwhile_is_taken(idle: tuple[Broker, Consumer]) -> None:
    broker, consumer = idle
    broker.publish([message("a"), message("b", priority=9)])
    assert sorted(take(consumer)) == ["a", "b"]


def test_what_becomes_due_meanwhile_is_taken(idle: tuple[Broker, Consumer]) -> None:
    broker, consumer = idle
    broker.publish([message("later", due=time.time() + 0.3)])
    assert take(consumer) == ["later"]


def test_what_was_parked_before_is_taken_when_it_is_due(idle: tuple[Broker, Consumer]) -> None:
    broker, consumer = idle
    broker.publish([message("a")])
    (delivery,) = consumer.receive(10, PATIENCE)
    assert consumer.receive(10, 0.05) == []
    assert list(consumer.settle([Park(delivery.tag, time.time() + 0.3)])) == []
    assert take(consumer) == ["a"]


def test_what_a_pause_kept_back_is_taken_when_it_ends(idle: tuple[Broker, Consumer]) -> None:
    broker, consumer = idle
    broker.pause("q")
    broker.publish([message("a")])
    assert consumer.receive(10, 0.05) == []
    assert consumer.receive(10, 0.05) == []
    broker.resume("q")
    assert take(consumer) == ["a"]


def test_orphans_left_behind_meanwhile_are_taken(idle: tuple[Broker, Consumer]) -> None:
    broker, consumer = idle
    other = broker.consumer(["q"], consumer_id="other")
    broker.publish([message("begun")])
    (delivery,) = other.receive(1, PATIENCE)
    other.begin([delivery.tag])
    assert consumer.receive(10, 0.05) == []
    assert consumer.receive(10, 0.05) == []
    other.close()
    (orphan,) = consumer.receive(10, PATIENCE)
    assert orphan.orphaned


def test_another_queue_is_looked_at_once_it_is_served(idle: tuple[Broker, Consumer]) -> None:
    broker, consumer = idle
    broker.publish([Message("a", {"id": "a"}, b"[]", queue="r", routing_key="r")])
    consumer.set_queues(["q", "r"])
    assert take(consumer) == ["a"]


def test_it_does_not_ask_again_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    from tq_redis.plugin import tq_broker

    monkeypatch.setattr(consumers, "TEND_EVERY", 3600.0)
    with private_redis() as server:
        broker = tq_broker(BrokerRequest(server.url, {"lease_duration": 14_400.0}, "test@here"))
        consumer = broker.consumer(["q"], consumer_id="me")
        assert consumer.receive(10, 0.05) == []
        asked = _scripts_run(server.url)
        for _ in range(5):
            assert consumer.receive(10, 0.01) == []
        assert _scripts_run(server.url) == asked
        broker.publish([message("a")])
        assert take(consumer) == ["a"]
        assert _scripts_run(server.url) == asked + 1
        consumer.close()
        broker.close()


def _scripts_run(url: str) -> int:
    from redis import Redis

    with Redis.from_url(url) as client:
        counts = client.info("commandstats")
    return sum(int(counts.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("eval", "evalsha"))
