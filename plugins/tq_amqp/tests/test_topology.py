"""Exchanges, queues and bindings: Celery's to the letter, and what happens when they cannot be made."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from kombu import Exchange, Queue, binding

from tests.private_servers import rabbitmqctl
from tests.services import SERVICES
from tq_core.contracts.broker import Broker
from tq_core.errors import BrokerError, BrokerUnavailable, PublishError
from tq_core.testing.conformance.broker import ids, message
from tq_core.testing.conformance.patience import nothing, take


@pytest.fixture
def name() -> str:
    """A name of the test's own."""
    return f"topology-{uuid.uuid4().hex[:8]}"


def declared(kind: str, vhost: str, name: str, *columns: str) -> list[str]:
    """Return what rabbitmqctl says about one object."""
    listed = rabbitmqctl(f"list_{kind}", "-p", urlsplit(vhost).path[1:], "name", *columns)
    return [line.split("\t", 1)[1] for line in listed.splitlines() if line.split("\t")[0] == name]


def test_an_unknown_queue_is_made_as_celery_makes_it(vhost: str, opener: Callable[..., Broker], name: str) -> None:
    opener().publish([message("x", name)])
    assert declared("queues", vhost, name, "durable", "auto_delete", "arguments") == ["true\tfalse\t[]"]
    assert declared("exchanges", vhost, name, "type", "durable", "auto_delete") == ["direct\ttrue\tfalse"]
    columns = ("source_name", "destination_name", "routing_key")
    listed = rabbitmqctl("list_bindings", "-p", urlsplit(vhost).path[1:], *columns)
    assert f"{name}\t{name}\t{name}" in listed


def test_arguments_are_those_of_the_settings(vhost: str, opener: Callable[..., Broker], name: str) -> None:
    more = {"x-single-active-consumer": True}
    queue = {"name": name, "max_priority": 7, "message_ttl": 60, "max_length": 9, "queue_arguments": more}
    opener(task_queues=[queue]).publish([message("x", name)])
    (found,) = declared("queues", vhost, name, "arguments")
    for word in ("x-max-priority", "7", "x-message-ttl", "60000", "x-max-length", "9", "x-single-active-consumer"):
        assert word in found


def test_a_queue_with_a_priority_is_served_by_it(opener: Callable[..., Broker], name: str) -> None:
    broker = opener(task_queue_max_priority=9)
    broker.publish([message(f"{p}{x}", name, priority=p) for x in "ab" for p in (5, 0, 9)])
    got = ids(take(broker.consumer([name], consumer_id=name), 6))
    assert got == ["9a", "9b", "5a", "5b", "0a", "0b"]


def test_an_exchange_of_kombus_copies_to_all_its_queues_once(opener: Callable[..., Broker], name: str) -> None:
    topic = Exchange(f"{name}.news", type="topic")
    queues = [
        Queue(f"{name}.all", topic, routing_key="#"),
        Queue(f"{name}.sport", [binding(topic, routing_key="sport.#")]),
    ]
    broker = opener(task_queues=queues)
    copies = [
        message("x", queue.name, exchange=topic.name, routing_key="sport.football") for queue in queues
    ]  # as the router makes them
    broker.publish(copies)
    consumer = broker.consumer([queue.name for queue in queues], consumer_id=name)
    got = take(consumer, 2)
    assert sorted(one.queue for one in got) == sorted(queue.name for queue in queues)
    assert nothing(consumer)
    assert {one.message.routing_key for one in got if one.message} == {"sport.football"}


def test_an_existing_queue_with_other_arguments_is_used_as_it_is(
    opener: Callable[..., Broker], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    opener(task_queue_max_priority=5).publish([message("first", name)])
    with caplog.at_level(logging.WARNING, "tq_amqp"):
        other = opener()
        other.publish([message("second", name)])
        consumer = other.consumer([name], consumer_id=name)
    assert ids(take(consumer, 2)) == ["first", "second"]
    assert len([record for record in caplog.records if name in record.getMessage()]) == 1


def test_an_exchange_of_another_type_is_one_readable_error(opener: Callable[..., Broker], name: str) -> None:
    opener(task_queues=[{"name": name, "exchange": name, "exchange_type": "fanout"}]).publish([message("x", name)])
    broker = opener(task_queues=[{"name": f"{name}.b", "exchange": name, "exchange_type": "topic"}])
    with pytest.raises(PublishError, match=f"exchange '{name}'.*exchange_type in task_queues"):
        broker.publish([message("y", f"{name}.b")])


def test_a_queue_that_cannot_be_used_does_not_stop_the_others(
    opener: Callable[..., Broker], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    queues = [{"name": name}, {"name": f"{name}.missing", "no_declare": True}]
    broker = opener(task_queues=queues)
    broker.publish([message("x", name)])
    consumer = broker.consumer([name, f"{name}.missing"], consumer_id=name)
    assert ids(take(consumer, 1)) == ["x"]
    assert f"'{name}.missing' does not exist" in caplog.text


def test_passive_makes_nothing(opener: Callable[..., Broker], name: str) -> None:
    broker = opener(broker_transport_options={"passive": True})
    with pytest.raises(PublishError, match="passive"):
        broker.publish([message("x", name)])
    with pytest.raises(BrokerError, match=f"'{name}' does not exist"):
        broker.consumer([name], consumer_id=name).receive(1, 0)


def test_a_wrong_user_and_a_wrong_virtual_host_are_named(vhost: str, opener: Callable[..., Broker]) -> None:
    host, port = SERVICES["rabbitmq"].address
    with pytest.raises(BrokerUnavailable, match="refused the user 'nobody'") as wrong:
        opener(f"amqp://nobody:s3cr3t@{host}:{port}/{urlsplit(vhost).path[1:]}").connect(5.0)
    assert "s3cr3t" not in str(wrong.value)
    with pytest.raises(BrokerUnavailable, match="virtual host 'nowhere'"):
        opener(f"amqp://guest:guest@{host}:{port}/nowhere").connect(5.0)


def test_a_full_queue_that_refuses_is_an_error(opener: Callable[..., Broker], name: str) -> None:
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    broker = opener(task_queues=[{"name": name, "queue_arguments": arguments}])
    broker.publish([message("fits", name)])
    with pytest.raises(PublishError, match="full") as refused:
        broker.publish([message(f"m{n}", name) for n in range(20)])
    assert not refused.value.maybe_sent


def test_a_number_that_amqp_cannot_hold_is_refused_before_anything_is_sent(
    opener: Callable[..., Broker], name: str
) -> None:
    broker = opener()
    with pytest.raises(PublishError, match="64 bits") as refused:
        broker.publish([message("good", name), message("bad", name, headers={"n": 2**64})])
    assert set(refused.value.unsent) == {"good", "bad"}
    assert broker.depth(name).ready == 0
