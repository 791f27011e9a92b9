"""A virtual host for each run of the tests, and a plain way to look into it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from plugins.tq_amqp.tests.worker_site import WorkerSite
from tests.private_servers import rabbitmqctl
from tests.services import SERVICES


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
def site(tmp_path: Path, vhost: str) -> Iterator[WorkerSite]:
    """A worker and clients in the tests' virtual host."""
    site = WorkerSite(tmp_path, vhost)
    yield site
    site.close()
