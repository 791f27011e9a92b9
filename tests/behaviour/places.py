"""Where the behaviour suite runs: brokers with result backends, by the word of the tests. A place is one line."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.databases import own_database
from tests.private_servers import private_redis, rabbitmqctl
from tests.services import SERVICES

#: URLs of a broker and of a result backend.
Urls = tuple[str, str]
#: Gives a broker and a result backend that are empty, and gone when the block ends.
Open = Callable[[], AbstractContextManager[Urls]]


@dataclass(frozen=True)
class Place:
    """One broker with one result backend.

    Attributes:
        open: gives both URLs.
        services: names of the running servers it needs, see :mod:`tests.services`.
        pools: the pools its worker is run with.
        in_process: the worker runs in threads of the test's own process.
        without: what no worker can do there, in the words of the marker ``needs``.
    """

    open: Open
    services: Sequence[str] = ()
    pools: Sequence[str] = ("prefork", "threads")
    in_process: bool = False
    without: frozenset[str] = frozenset()


@contextmanager
def _memory() -> Iterator[Urls]:
    name = f"behaviour-{uuid.uuid4().hex[:12]}"
    yield f"memory://{name}", f"memory://{name}"


@contextmanager
def _sqlite() -> Iterator[Urls]:
    directory = tempfile.mkdtemp(prefix="tq-behaviour-")
    try:
        yield f"sqlite:///{directory}/queue.db", f"sqlite:///{directory}/queue.db"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _postgresql() -> Iterator[Urls]:
    with own_database("postgresql") as url:
        yield url, url


@contextmanager
def _redis() -> Iterator[Urls]:
    with private_redis() as server:
        yield server.url, server.url


@contextmanager
def _rabbitmq_with_redis() -> Iterator[Urls]:
    with _virtual_host() as broker, private_redis() as server:
        yield broker, server.url


@contextmanager
def _rabbitmq_with_replies() -> Iterator[Urls]:
    with _virtual_host() as broker:
        yield broker, "rpc://"


@contextmanager
def _virtual_host() -> Iterator[str]:
    server = SERVICES["rabbitmq"]
    user = urlsplit(server.url).username or "guest"
    name = f"tq-behaviour-{uuid.uuid4().hex[:12]}"
    try:
        rabbitmqctl("add_vhost", name)
        rabbitmqctl("set_permissions", "-p", name, user, ".*", ".*", ".*")
        yield urlsplit(server.url)._replace(path=f"/{name}").geturl()
    finally:
        rabbitmqctl("delete_vhost", name)


PLACES: dict[str, Place] = {
    "memory": Place(_memory, pools=("threads",), in_process=True),
    "sqlite": Place(_sqlite),
    "postgresql": Place(_postgresql, ("postgresql",)),
    "redis": Place(_redis),
    "rabbitmq": Place(_rabbitmq_with_redis, ("rabbitmq",)),
    # Each result is sent to the client that made the call, which alone knows it then.
    "rpc": Place(_rabbitmq_with_replies, ("rabbitmq",), without=frozenset({"chords", "results for everybody"})),
}
