"""A virtual host for each run of the tests, and a plain way to look into it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import pytest
from tq_amqp.plugin import tq_broker

from plugins.tq_amqp.tests.worker_site import WorkerSite
from tests.private_servers import rabbitmqctl
from tests.services import SERVICES
from tq_core.contracts.broker import Broker, BrokerRequest


@pytest.fixture(scope="session")
def vhost() -> Iterator[str]:
    """The URL of an empty virtual host."""
    server = SERVICES["rabbitmq"]
    if shutil.which("rabbitmqctl") is None or not server.answers():
        reason = f"RabbitMQ does not answer at {server.address}, or rabbitmqctl is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    name = f"tq-test-{uuid.uuid4().hex[:12]}"
    rabbitmqctl("add_vhost", name)
    try:
        rabbitmqctl("set_permissions", "-p", name, urlsplit(server.url).username or "guest", ".*", ".*", ".*")
        host, port = server.address
        yield f"amqp://guest:guest@{host}:{port}/{name}"
    finally:
        rabbitmqctl("delete_vhost", name)


@pytest.fixture
def opener(vhost: str) -> Iterator[Callable[..., Broker]]:
    """Opens brokers in the tests' virtual host, as of several processes, and closes them after the test."""
    opened: list[Broker] = []

    def opener(url: str = "", **settings: Any) -> Broker:
        opened.append(tq_broker(BrokerRequest(url or vhost, settings, "test@here")))
        return opened[-1]

    yield opener
    for broker in opened:
        broker.close()


@pytest.fixture
def site(tmp_path: Path, vhost: str) -> Iterator[WorkerSite]:
    """A worker and clients in the tests' virtual host."""
    site = WorkerSite(tmp_path, vhost)
    yield site
    site.close()


@pytest.fixture(scope="session")
def delete_queues(vhost: str) -> Callable[[], None]:
    """Deletes all queues of the virtual host.

    A quorum queue reserves file handles as long as it exists. RabbitMQ 3.10 with a limit of 1,024 open files stops
    answering anybody when some hundreds of them have reserved all there are.
    """

    def delete() -> None:
        url = urlsplit(vhost)
        name = url.path[1:]
        queues = rabbitmqctl("list_queues", "-p", name, "--no-table-headers", "name").splitlines()
        with amqp.Connection(f"{url.hostname}:{url.port}", url.username, url.password, virtual_host=name) as connection:
            for queue in queues:
                with suppress(amqp.NotFound):  # it has gone with its consumer
                    connection.channel().queue_delete(queue)

    return delete
