"""The servers that tests can use: where each is expected, and whether it answers.

Run it with ``make services``.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Service:
    """One server.

    Attributes:
        name: The word tests ask for it by.
        variable: The environment variable that holds its URL.
        default_url: Where it is looked for when the variable is not set.
    """

    name: str
    variable: str
    default_url: str

    @property
    def url(self) -> str:
        """The URL tests use; it may hold a password, so show ``address`` instead."""
        return os.environ.get(self.variable) or self.default_url

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the URL, those of the default URL where it names none."""
        default, chosen = urlsplit(self.default_url), urlsplit(self.url)
        return chosen.hostname or str(default.hostname), chosen.port or int(default.port or 0)

    def answers(self, patience: float = 1.0) -> bool:
        """Returns whether something accepts a TCP connection there.

        Args:
            patience: Seconds to wait for the connection.
        """
        try:
            socket.create_connection(self.address, timeout=patience).close()
        except OSError:
            return False
        return True


SERVICES = {
    service.name: service
    for service in (
        Service("redis", "TQ_TEST_REDIS_URL", "redis://127.0.0.1:6379/0"),
        Service("rabbitmq", "TQ_TEST_RABBITMQ_URL", "amqp://127.0.0.1:5672//"),
        Service("postgresql", "TQ_TEST_POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/postgres"),
        Service("mariadb", "TQ_TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306/test"),
    )
}


def main() -> None:
    """Prints one line for each service."""
    for service in SERVICES.values():
        host, port = service.address
        state = "answers" if service.answers() else f"no answer (set {service.variable} if it is elsewhere)"
        print(f"{service.name:<10} {host}:{port:<6} {state}")


if __name__ == "__main__":
    main()
