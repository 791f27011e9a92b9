"""A database file per test, and a serializer that needs nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tq_sqlalchemy.plugin import tq_backend, tq_broker

from tq_core.contracts.backend import Backend, BackendRequest
from tq_core.contracts.broker import Broker, BrokerRequest
from tq_core.contracts.serializer import Serializer
from tq_core.errors import DecodeError, EncodeError


class PlainJson(Serializer):
    """JSON by the standard library."""

    name = "json"
    content_type = "application/json"
    content_encoding = "utf-8"

    def dumps(self, value: Any) -> bytes:
        try:
            return json.dumps(value).encode()
        except (TypeError, ValueError) as error:
            raise EncodeError(str(error)) from error

    def loads(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except ValueError as error:
            raise DecodeError(str(error)) from error


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a database file that does not exist yet."""
    return f"sqlite:///{tmp_path}/tq.db"


@pytest.fixture
def open_broker(url: str) -> Iterator[Callable[..., Broker]]:
    """Opens brokers on the test's file, with settings, and closes them after the test."""
    opened: list[Broker] = []

    def opener(**settings: Any) -> Broker:
        opened.append(tq_broker(BrokerRequest(url, settings, "test@here")))
        return opened[-1]

    yield opener
    for broker in opened:
        broker.close()


@pytest.fixture
def open_backend(url: str) -> Iterator[Callable[..., Backend]]:
    """Opens backends on the test's file, with settings, and closes them after the test."""
    opened: list[Backend] = []

    def opener(*, accept: tuple[str, ...] = ("application/json",), **settings: Any) -> Backend:
        request = BackendRequest("db+" + url, settings, PlainJson(), frozenset(accept), "test@here")
        opened.append(tq_backend(request))
        return opened[-1]

    yield opener
    for backend in opened:
        backend.close()
