"""Messages of every kind that a stranger may put into a queue: none of them stops the queue."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import amqp
import pytest
from tq_amqp.plugin import tq_broker

from tq_core.contracts.broker import Ack, Broker, BrokerRequest, Bury, Requeue
from tq_core.testing.conformance.broker import ids, message
from tq_core.testing.conformance.patience import take


@pytest.fixture
def broker(vhost: str) -> Iterator[Broker]:
    """A broker in the tests' virtual host."""
    broker = tq_broker(BrokerRequest(vhost, {}, "test@here"))
    yield broker
    broker.close()


@pytest.fixture
def stranger(vhost: str) -> Iterator[Callable[..., None]]:
    """Puts anything into a queue."""
    parts = urlsplit(vhost)
    connection = amqp.Connection(f"{parts.hostname}:{parts.port}", "guest", "guest", virtual_host=parts.path[1:])
    with connection:
        channel = connection.channel()

        def publish(queue: str, body: Any, **properties: Any) -> None:
            channel.confirm_select()
            channel.basic_publish_confirm(amqp.Message(body, **properties), "", queue)

        yield publish


def deep(levels: int) -> dict[str, Any]:
    """Return a table that is nested so deep."""
    table: dict[str, Any] = {}
    for _ in range(levels):
        table = {"t": table}
    return table


KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "nothing at all": (b"", {}),
    "no headers": (b"[[], {}, {}]", {"content_type": "application/json"}),
    "text that is no UTF-8": (b"x", {"application_headers": {"task": b"\xff\xfe", "id": "one"}}),
    "a time among the headers": (b"x", {"application_headers": {"when": datetime(2026, 1, 1)}}),
    "a decimal among the headers": (b"x", {"application_headers": {"exact": Decimal("1.5")}}),
    "headers nested without end": (b"x", {"application_headers": deep(150)}),
    "a count in words": (b"x", {"application_headers": {"x-tq-deliveries": "many"}}),
    "a count below zero": (b"x", {"application_headers": {"x-tq-deliveries": -5}}),
    "a due time in words": (b"x", {"application_headers": {"x-tq-due": "soon"}}),
    "a due time in a list": (b"x", {"application_headers": {"x-tq-due": [1]}}),
    "a due time beyond all time": (b"x", {"application_headers": {"x-tq-due": 2**62}}),
    "a holder that is a number": (b"x", {"application_headers": {"x-tq-begun": True, "x-tq-holder": 5}}),
    "a holder that is nowhere": (b"x", {"application_headers": {"x-tq-begun": True, "x-tq-holder": "tq.begun.x"}}),
    "deaths in words": (b"x", {"application_headers": {"x-death": "once"}}),
    "an id of control characters": (b"x", {"correlation_id": "\x1b[2J\nforged: line"}),
    "headers that fill the frame": (b"x", {"application_headers": {"long": "x" * 130_000}}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_is_handed_out_and_the_next_message_comes(
    broker: Broker, stranger: Callable[..., None], kind: str
) -> None:
    queue = f"strangers-{uuid.uuid4().hex[:8]}"
    consumer = broker.consumer([queue], consumer_id=queue)
    assert consumer.receive(1, 0) == []
    body, properties = KINDS[kind]
    stranger(queue, body, **properties)
    broker.publish([message("good", queue)])
    strange, good = take(consumer, 2)
    assert ids([good]) == ["good"]
    assert (strange.message is None) == (strange.defect is not None)
    consumer.settle([Requeue(strange.tag)])
    (again,) = take(consumer, 1)
    assert list(consumer.settle([Bury(again.tag, "a stranger"), Ack(good.tag)])) == []
    (letter,) = broker.dead_letters(queue=queue)
    assert (letter.reason, letter.queue) == ("a stranger", queue)
    assert (letter.message is None) == (strange.message is None)
    assert broker.drop_dead([letter.letter_id]) == 1
    consumer.close()
    assert broker.depth(queue).ready == 0


def test_an_unreadable_message_that_nobody_settled_comes_again(broker: Broker, stranger: Callable[..., None]) -> None:
    queue = f"strangers-{uuid.uuid4().hex[:8]}"
    consumer = broker.consumer([queue], consumer_id=queue)
    assert consumer.receive(1, 0) == []
    stranger(queue, b"x", application_headers=deep(150))
    take(consumer, 1)
    consumer.close()
    (again,) = take(broker.consumer([queue], consumer_id=f"{queue} again"), 1)
    assert again.defect is not None
    assert "nested" in again.defect
