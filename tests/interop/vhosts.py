"""Virtual hosts of RabbitMQ, each for the time of a ``with`` block."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.private_servers import rabbitmqctl
from tests.services import SERVICES


@contextmanager
def own_vhost() -> Iterator[str]:
    """Make an empty virtual host, where every exchange and queue has the name it has in production.

    Where there is no RabbitMQ the test is skipped and says why, and fails under ``CI``.

    Yields:
        its URL.
    """
    server = SERVICES["rabbitmq"]
    if shutil.which("rabbitmqctl") is None or not server.answers():
        reason = f"RabbitMQ does not answer at {server.address}, or rabbitmqctl is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    name = f"tq-interop-{uuid.uuid4().hex[:12]}"
    rabbitmqctl("add_vhost", name)
    try:
        user = urlsplit(server.url).username or "guest"
        rabbitmqctl("set_permissions", "-p", name, user, ".*", ".*", ".*")
        host, port = server.address
        yield f"amqp://guest:guest@{host}:{port}/{name}"
    finally:
        rabbitmqctl("delete_vhost", name)
