"""Where the sides meet: brokers and result backends, by the word of the tests."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.celery_environments import VERSIONS
from tests.interop.servers import Servers
from tests.private_servers import private_redis
from tq_core import Celery

#: How the body of a message is written.
ENCODINGS = ("json", "pickle", "msgpack", "zstd")

#: The words of the tests for both sides: ours, and Celery's by version.
SIDES = ("tq", *(f"celery-{version}" for version in VERSIONS))


@dataclass(frozen=True)
class Place:
    """Where messages and results are.

    Attributes:
        broker, backend: URLs.
        settings: of the application, the same on all sides; JSON-able.
        urgent_first: priorities in the order in which the broker serves them.
        ahead: seconds by which a call with a due time is sent before that.
        pause: seconds between a task and its retry.
    """

    broker: str
    backend: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    urgent_first: tuple[int, ...] = (0, 5, 9)
    ahead: float = 1.0
    pause: float = 0.05


@dataclass(frozen=True)
class Site:
    """What a place is for.

    Attributes:
        shown: what is there, in words.
        open: makes the place for the time of a ``with`` block.
        encodings: the ones in which everything is sent there.
        without: features that Celery does not have there.
        fleet: the sides that can work there all at once.
    """

    shown: str
    open: Callable[[Servers], AbstractContextManager[Place]]
    encodings: tuple[str, ...] = ENCODINGS
    without: tuple[str, ...] = ()
    fleet: tuple[str, ...] = SIDES


@contextmanager
def redis(servers: Servers) -> Iterator[Place]:
    with private_redis() as server:
        yield Place(server.url, server.url)


#: Of an application on RabbitMQ: without the first its queues know no priorities.
_ON_RABBITMQ: Mapping[str, Any] = {"task_queue_max_priority": 10}


@contextmanager
def rabbitmq(servers: Servers) -> Iterator[Place]:
    with servers.vhost() as broker, private_redis() as server:
        yield Place(broker, server.url, _ON_RABBITMQ, urgent_first=(9, 5, 0))


@contextmanager
def rabbitmq_database(servers: Servers) -> Iterator[Place]:
    with servers.vhost() as broker, tempfile.TemporaryDirectory(prefix="tq-interop-") as directory:
        backend = f"db+sqlite:///{directory}/results.db"
        # Celery 5.5 would make the tables with fewer columns than 5.7 reads.
        with closing(Celery(broker="memory://", backend=backend)) as app:
            app.backend.fetch(["none"])
        settings = {**_ON_RABBITMQ, "result_backend_transport_options": {"shared_with": "celery-5.5"}}
        yield Place(broker, backend, settings, urgent_first=(9, 5, 0))


@contextmanager
def rabbitmq_rpc(servers: Servers) -> Iterator[Place]:
    with servers.vhost() as broker:
        yield Place(broker, "rpc://", _ON_RABBITMQ, urgent_first=(9, 5, 0))


@contextmanager
def quorum(servers: Servers) -> Iterator[Place]:
    queues = {
        f"q-{side}": {
            "exchange": "work",
            "exchange_type": "topic",
            "routing_key": f"q-{side}",
            "queue_arguments": {"x-queue-type": "quorum"},
        }
        for side in SIDES
    }
    with servers.vhost() as broker, private_redis() as server:
        # Celery lets RabbitMQ hold up calls by whole seconds, and fails with less than one.
        yield Place(broker, server.url, {"task_queues": queues}, ahead=2.5, pause=1.0)


#: The places of the matrix.
PLACES: dict[str, Site] = {
    "redis": Site(
        "messages and results in a Redis of the tests' own, where every key has the name it has in production", redis
    ),
    "rabbitmq": Site(
        "messages in a virtual host of RabbitMQ, in classic queues with priorities; results in Redis", rabbitmq
    ),
    "rabbitmq-database": Site(
        "the same with results in a database, in Celery's tables",
        rabbitmq_database,
        ("json", "pickle"),
        # Celery 5.5 cannot read a result that 5.7 has written: it looks for a pickle and finds JSON.
        fleet=("tq", "celery-5.5"),
    ),
    "rabbitmq-rpc": Site(
        "the same with results sent to the client that asked (`rpc://`), where neither side has chords",
        rabbitmq_rpc,
        ("json", "pickle"),
        ("chord",),
    ),
    "rabbitmq-quorum": Site(
        "messages in quorum queues on a topic exchange, where Celery's clients leave due times to RabbitMQ; results in "
        "Redis. Quorum queues have no priorities",
        quorum,
        ("json",),
        ("priority",),
    ),
}
