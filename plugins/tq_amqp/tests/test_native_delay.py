"""Calls with a due time that Celery's clients leave to RabbitMQ, where no worker of Celery's has made the way."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Connection, Exchange
from kombu.transport.native_delayed_delivery import (
    calculate_routing_key,
    declare_native_delayed_delivery_exchanges_and_queues,
)
from tq_amqp.plugin import tq_broker

from tq_core.contracts.broker import Broker, BrokerRequest, Consumer
from tq_core.errors import ImproperlyConfigured
from tq_core.testing.conformance.patience import take


@pytest.fixture
def name() -> str:
    """A queue of the test's own."""
    return f"delayed-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def consumer(vhost: str, name: str) -> Iterator[Callable[..., Consumer]]:
    """Receives from a queue on a topic exchange."""
    opened: list[Broker] = []

    def opener(kind: str = "quorum", **settings: Any) -> Consumer:
        queue = {
            "exchange": f"{name}-work",
            "exchange_type": "topic",
            "routing_key": name,
            "queue_arguments": {"x-queue-type": kind},
        }
        opened.append(tq_broker(BrokerRequest(vhost, {"task_queues": {name: queue}, **settings}, "test@here")))
        return opened[-1].consumer([name], consumer_id=uuid.uuid4().hex)

    yield opener
    for broker in opened:
        broker.close()


def send(vhost: str, name: str, seconds: int) -> None:
    """Send as a client of Celery's does."""
    with Connection(vhost) as connection:
        connection.Producer().publish(
            "[[], {}, {}]",
            exchange=Exchange("celery_delayed_27", type="topic"),
            routing_key=calculate_routing_key(seconds, name),
            headers={"task": "x", "id": "delayed"},
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id="delayed",
        )


def test_a_call_comes_when_it_is_due(vhost: str, consumer: Callable[..., Consumer], name: str) -> None:
    receiver = consumer()
    sent = time.time()
    send(vhost, name, 1)
    (delivery,) = take(receiver, 1)
    assert delivery.message is not None
    assert delivery.message.id == "delayed"
    assert delivery.message.queue == name
    assert time.time() >= sent + 0.99


def test_what_is_made_is_what_celery_makes(vhost: str, consumer: Callable[..., Consumer]) -> None:
    consumer()
    with Connection(vhost) as connection:
        # Another argument anywhere would be refused.
        declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
        with pytest.raises(connection.channel_errors):
            declare_native_delayed_delivery_exchanges_and_queues(connection, "classic")


def test_queues_of_another_type_are_no_reason_to_stand_still(
    vhost: str, consumer: Callable[..., Consumer], caplog: pytest.LogCaptureFixture
) -> None:
    consumer()
    with caplog.at_level(logging.WARNING):
        consumer(broker_native_delayed_delivery_queue_type="classic")
    assert "broker_native_delayed_delivery_queue_type" in caplog.text


def test_a_type_that_means_nothing_is_an_error(consumer: Callable[..., Consumer]) -> None:
    with pytest.raises(ImproperlyConfigured, match="quorum or classic, not 'stream'"):
        consumer(broker_native_delayed_delivery_queue_type="stream")
