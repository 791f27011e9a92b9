"""The servers of a test run, each started when a place first needs it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from tests.private_servers import PrivateRabbitMQ, private_rabbitmq


class Servers:
    """Ends what it has started when it is closed.

    The RabbitMQ is the run's own: others fill the machine's with queues, and wait for it at their leisure.
    """

    def __init__(self) -> None:
        self._started = ExitStack()
        self._rabbitmq: PrivateRabbitMQ | None = None

    @contextmanager
    def vhost(self) -> Iterator[str]:
        """Make an empty virtual host, where every exchange and queue has the name it has in production.

        Yields:
            its URL.
        """
        if self._rabbitmq is None:
            self._rabbitmq = self._started.enter_context(private_rabbitmq())
        server, name = self._rabbitmq, f"interop-{uuid.uuid4().hex[:8]}"
        server.control("add_vhost", name)
        try:
            server.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
            yield f"{urlsplit(server.url)._replace(path='').geturl()}/{name}"
        finally:
            server.control("delete_vhost", name)

    def close(self) -> None:
        """End the servers."""
        self._started.close()
