"""A key prefix per test; what is left under it is deleted, and may be asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tq_core.contracts.backend import Backend
from tq_core.testing.conformance.address import Address


@pytest.fixture
def prefix() -> str:
    """What every key of the test begins with."""
    return f"tq-test-{uuid.uuid4().hex[:12]}:"


@pytest.fixture
def server(require_service: Callable[[str], str], prefix: str) -> Iterator[redis.Redis]:
    """The shared server, as any other program sees it."""
    client = redis.Redis.from_url(require_service("redis"))
    yield client
    left = list(client.scan_iter(prefix + "*", count=1000))
    if left:
        client.unlink(*left)
    client.close()


@pytest.fixture
def address(server: redis.Redis, prefix: str, require_service: Callable[[str], str]) -> Address:
    """The test's place on the shared server; one that says nothing is not waited for long."""
    options = {"global_keyprefix": prefix, "socket_timeout": 1.0}
    return Address(require_service("redis"), {"result_expires": 600, "result_backend_transport_options": options})


@pytest.fixture
def open_backend(address: Address) -> Iterator[Callable[..., Backend]]:
    """Opens backends on the shared server, with settings, and closes them after the test."""
    opened: list[Backend] = []

    def opener(at: Address = address, **settings: Any) -> Backend:
        opened.append(at.backend(**settings))
        return opened[-1]

    yield opener
    for backend in opened:
        backend.close()
