"""Where the sides meet: brokers and result backends, by the word of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.private_servers import private_redis


@dataclass(frozen=True)
class Place:
    """Where messages and results are.

    Attributes:
        broker, backend: URLs.
        settings: of the application, the same on all sides; JSON-able.
        urgent_first: priorities in the order in which the broker serves them.
    """

    broker: str
    backend: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    urgent_first: tuple[int, ...] = (0, 5, 9)


@contextmanager
def redis() -> Iterator[Place]:
    """Messages and results in a Redis of the tests' own, where every key has the name it has in production."""
    with private_redis() as server:
        yield Place(server.url, server.url)


#: The places of the matrix.
PLACES: dict[str, Callable[[], AbstractContextManager[Place]]] = {"redis": redis}
