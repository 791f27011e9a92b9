"""A key prefix per test, and proof that nothing below it is left."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from tq_redis.plugin import tq_broker

from tq_core.contracts.broker import Broker, BrokerRequest

URL = "redis://127.0.0.1:6379/15"


@pytest.fixture
def prefix() -> Iterator[str]:
    """A prefix of the test's own; its keys are deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:12]}."
    yield name
    with Redis.from_url(URL) as client:
        for key in client.scan_iter(match=name + "*", count=1000):
            client.delete(key)


@pytest.fixture
def redis(prefix: str) -> Iterator[Redis]:
    """A plain client of the database that the tests use."""
    with Redis.from_url(URL) as client:
        yield client


@pytest.fixture
def open_broker(prefix: str) -> Iterator[Callable[..., Broker]]:
    """Opens brokers below the test's prefix, with settings, and closes them after the test."""
    opened: list[Broker] = []

    def opener(url: str = URL, **settings: Any) -> Broker:
        options = {"global_keyprefix": prefix, **settings.pop("broker_transport_options", {})}
        request = BrokerRequest(url, {**settings, "broker_transport_options": options}, "test@here")
        opened.append(tq_broker(request))
        return opened[-1]

    yield opener
    for broker in opened:
        broker.close()
