"""A worker and a client on a Redis of these tests' own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from tests.interop.places import Place
from tests.interop.sides import Driver, WorkerNode
from tests.private_servers import private_redis


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with private_redis() as server:
        yield Place(server.url, server.url)


@pytest.fixture
def redis(place: Place) -> Iterator[Redis]:
    with Redis.from_url(place.broker) as client:
        yield client


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Driver]:
    with closing(Driver("tq", place)) as driver:
        yield driver


@pytest.fixture
def start(place: Place) -> Iterator[Callable[..., WorkerNode]]:
    """Start workers; they are killed afterwards."""
    started: list[WorkerNode] = []

    def starter(queue: str, **settings: object) -> WorkerNode:
        started.append(WorkerNode("tq", place, queue, f"{queue}@control", **settings))
        return started[-1].ready()

    yield starter
    for worker in started:
        worker.close()


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return str(path)
