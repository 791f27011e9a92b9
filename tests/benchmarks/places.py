"""The brokers that are measured: where each one's messages and results are kept, alone, and gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.benchmarks.environments import Unavailable
from tests.private_servers import PrivateRedis
from tests.services import SERVICES


@dataclass(frozen=True)
class Broker:
    """One broker.

    Attributes:
        name: the word for it on the command line, and under which its targets stand in ``targets.yaml``.
        place: gives the URL of an empty database, virtual host or server, and removes it afterwards; raises
            ``Unavailable``.
        ceiling: the module of ``ceilings/`` that does the same work with the bare client; None without one.
        clients: modules that do it in other ways, by the names of their columns.
    """

    name: str
    place: Callable[[], AbstractContextManager[str]]
    ceiling: str | None
    clients: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tq-bench-") as directory:
        yield f"sqlite:///{directory}/bench.db"


def _database(service: str) -> Callable[[], AbstractContextManager[str]]:
    """Return what makes a database on a server that tests use."""

    def place() -> AbstractContextManager[str]:
        # Its driver is loaded for these brokers only.
        from tests.databases import own_database

        return _entered(own_database(service))

    return place


@contextmanager
def _entered(place: AbstractContextManager[str]) -> Iterator[str]:
    """Enter what tests use, and say that it is not available where it raises RuntimeError."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(place)
        except RuntimeError as error:
            raise Unavailable(str(error)) from None
        yield url


class _VolatileRedis(PrivateRedis):
    """A server without persistence, as Redis is mostly run for queues; nobody else's keys are there."""

    def _command(self) -> Sequence[str]:
        return [*super()._command(), "--appendonly", "no"]

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[str]:
        """Run one and give its URL."""
        server = cls()
        try:
            server._fill()
            server.start()
            yield server.url
        finally:
            server.close()


@contextmanager
def _amqp() -> Iterator[str]:
    """A virtual host of its own, made by ``rabbitmqctl``, or the one that ``TQ_BENCH_AMQP_URL`` names."""
    if named := os.environ.get("TQ_BENCH_AMQP_URL"):
        yield named
        return
    server = SERVICES["rabbitmq"]
    if not server.answers():
        host, port = server.address
        raise Unavailable(f"RabbitMQ does not answer at {host}:{port}; start it or set {server.variable}")
    name = f"tq-bench-{uuid.uuid4().hex[:12]}"
    user = urlsplit(server.url).username or "guest"
    _rabbitmqctl("add_vhost", name)
    try:
        _rabbitmqctl("set_permissions", "-p", name, user, ".*", ".*", ".*")
        yield urlsplit(server.url)._replace(path=f"/{name}").geturl()
    finally:
        _rabbitmqctl("delete_vhost", name)


def _rabbitmqctl(*words: str) -> None:
    program = shutil.which("rabbitmqctl")
    if program is None:
        raise Unavailable("rabbitmqctl is not on PATH; name an empty virtual host in TQ_BENCH_AMQP_URL instead")
    done = subprocess.run([program, "--quiet", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(
            f"rabbitmqctl {words[0]} failed: {done.stderr.strip()[-300:]}; "
            "name an empty virtual host in TQ_BENCH_AMQP_URL instead"
        )


@contextmanager
def _memory() -> Iterator[str]:
    yield "memory://"


BROKERS = {
    broker.name: broker
    for broker in (
        Broker("sqlite", _sqlite, "sqlite"),
        Broker("postgresql", _database("postgresql"), "postgresql"),
        Broker("mariadb", _database("mariadb"), "mariadb"),
        Broker("redis", lambda: _entered(_VolatileRedis.running()), "redis"),
        Broker("amqp", _amqp, "amqp_frames", {"py-amqp": "amqp"}),
        Broker("memory", _memory, None),
    )
}
