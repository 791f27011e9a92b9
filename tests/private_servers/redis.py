"""Redis of a test's own."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from redis import RedisError

from tests.private_servers.server import LOOK_EVERY, PATIENCE, PrivateServer, find_program, running


class PrivateRedis(PrivateServer):
    """A Redis that writes what it was told before it answers, so that a killed one has lost nothing."""

    name = "redis"
    package = "redis-server"
    user = "redis"

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    def _fill(self) -> None:
        self.data.mkdir()
        if self._run_as is not None:
            os.chown(self.data, pwd.getpwnam(self._run_as).pw_uid, -1)

    def _settings(self) -> Mapping[str, object]:
        """Return its settings; a subclass adds its own."""
        return {
            "bind": self.host,
            "port": self.port,
            "dir": self.data,
            "appendonly": "yes",
            # A killed process loses nothing that the system has; only a power cut would.
            "appendfsync": "no",
            "save": "",
            "repl-diskless-sync-delay": 0,
        }

    def _command(self) -> Sequence[str]:
        options = [word for name, value in self._settings().items() for word in (f"--{name}", str(value))]
        return [find_program("redis-server", self.package), *options]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1.0) as caller:
                caller.sendall(b"PING\r\n")  # answered with an error while the data is being loaded
                return caller.recv(5) == b"+PONG"
        except OSError:
            return False


@contextmanager
def private_redis() -> Iterator[PrivateRedis]:
    """Run a Redis for the time of a ``with`` block."""
    with running(PrivateRedis()) as server:
        yield server


def awaited(condition: Callable[[], Any], otherwise: str) -> Any:
    """Ask until ``condition`` answers with something true, and return it.

    Raises:
        RuntimeError: it never does.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(RedisError):  # it may be starting, or changing its part
            if answer := condition():
                return answer
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(LOOK_EVERY)
