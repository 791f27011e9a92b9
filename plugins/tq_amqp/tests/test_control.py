"""Remote control: its exchanges and queues are Celery's."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from kombu import Connection

from tests.private_servers import rabbitmqctl
from tq_core.contracts.broker import Broker
from tq_core.errors import BrokerError
from tq_core.message import Message
from tq_core.testing.conformance.patience import until


@pytest.fixture
def exchange() -> str:
    return f"{uuid.uuid4().hex[:8]}.pidbox"


def request(exchange: str) -> Message:
    return Message("", {"clock": 1}, b"{}", queue="", exchange=exchange)


def listed(kind: str, vhost: str, *columns: str) -> list[list[str]]:
    said = rabbitmqctl(f"list_{kind}", "-p", urlsplit(vhost).path[1:], *columns)
    return [line.split("\t") for line in said.splitlines()]


def test_exchanges_and_queues_are_celerys(vhost: str, opener: Callable[..., Broker], exchange: str) -> None:
    broker = opener(control_queue_ttl=300.0, control_queue_expires=10.0)
    inbox, answers = broker.inbox(exchange), broker.answers(f"reply.{exchange}", "a-key")
    exchanges = listed("exchanges", vhost, "name", "type", "durable", "auto_delete")
    assert [exchange, "fanout", "false", "false"] in exchanges
    assert [f"reply.{exchange}", "direct", "false", "false"] in exchanges
    queues = {
        row[0]: row[1:] for row in listed("queues", vhost, "name", "durable", "auto_delete", "exclusive", "arguments")
    }
    (own,) = [queue for queue in queues if queue.endswith(f".{exchange}") and not queue.endswith(f"reply.{exchange}")]
    for queue in (own, f"a-key.reply.{exchange}"):
        durable, auto_delete, exclusive, arguments = queues[queue]
        assert (durable, auto_delete, exclusive) == ("false", "true", "true")
        for part in ('"x-expires"', "10000", '"x-message-ttl"', "300000"):
            assert part in arguments
    inbox.close()
    answers.close()
    until(
        lambda: not {own, f"a-key.reply.{exchange}"} & {row[0] for row in listed("queues", vhost, "name")}, "they stay"
    )


def test_an_exchange_that_went_with_the_broker_is_made_again(
    vhost: str, opener: Callable[..., Broker], exchange: str
) -> None:
    broker = opener()
    broker.announce(exchange, request(exchange))
    with Connection(vhost) as connection:
        connection.default_channel.exchange_delete(exchange)
    broker.announce(exchange, request(exchange))
    assert [exchange] in listed("exchanges", vhost, "name")


def test_an_exchange_of_another_kind_is_an_error_that_names_it(
    vhost: str, opener: Callable[..., Broker], exchange: str
) -> None:
    with Connection(vhost) as connection:
        connection.default_channel.exchange_declare(exchange, "direct", durable=True, auto_delete=False)
    with pytest.raises(BrokerError, match=f"{exchange}.*control_exchange"):
        opener().inbox(exchange)
    with pytest.raises(BrokerError, match=exchange):
        opener().announce(exchange, request(exchange))
