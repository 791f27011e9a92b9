"""A RabbitMQ node of a test's own, for tests that kill, freeze and restart it.

    with private_rabbitmq() as server:
        use(server.url)
        server.kill()
        server.start()

Its Erlang name carries its port, and it listens on ports of its own; the port mapper it needs is the machine's, or one
that it starts and that stays, as with every Erlang program.
"""

from __future__ import annotations

import os
import pwd
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.private_servers.server import PrivateServer, find_program, free_port, running


class PrivateRabbitMQ(PrivateServer):
    """A RabbitMQ with the user ``guest`` and the virtual host ``/``; what it confirmed survives being killed."""

    name = "rabbitmq"
    package = "rabbitmq-server"
    user = "rabbitmq"
    farewell = signal.SIGTERM

    def __init__(self) -> None:
        super().__init__()
        self._distribution_port = free_port()
        self._cookie = secrets.token_hex(16)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.host}:{self.port}//"

    def _fill(self) -> None:
        self.data.mkdir()
        (self._home / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = {self.host}:{self.port}\n"
            "loopback_users = none\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
            "disk_free_limit.absolute = 1MB\n"
        )
        (self._home / "enabled_plugins").write_text("[].\n")
        cookie = self._home / ".erlang.cookie"
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)
        if self._run_as is not None:
            owner = pwd.getpwnam(self._run_as).pw_uid
            for path in (self.data, cookie):
                os.chown(path, owner, -1)

    def _command(self) -> Sequence[str]:
        # What its scripts read is given in the environment, and only there.
        settings = {
            "HOME": self._home,
            "XDG_CONFIG_HOME": self._home,
            "RABBITMQ_NODENAME": f"tq{self.port}@localhost",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_NODE_IP_ADDRESS": self.host,
            "RABBITMQ_DIST_PORT": self._distribution_port,
            "RABBITMQ_MNESIA_BASE": self.data,
            "RABBITMQ_LOG_BASE": self.data,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": self._home / "rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": self._home / "none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self._home / "enabled_plugins",
            "RABBITMQ_PID_FILE": self.data / "pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }
        environment = [f"{name}={value}" for name, value in settings.items()]
        return ["env", *environment, _server(self.package)]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1.0) as caller:
                caller.settimeout(2.0)
                caller.sendall(b"AMQP\x00\x00\x09\x01")
                return caller.recv(1) == b"\x01"  # the frame of connection.start
        except OSError:
            return False

    def start(self) -> None:
        # On a machine that does much else a node needs longer than other servers; then it is started once more.
        try:
            super().start()
        except RuntimeError:
            super().start()

    def control(self, *words: str) -> str:
        """Run rabbitmqctl on it and return what it says.

        Raises:
            RuntimeError: it failed.
        """
        return rabbitmqctl("-n", f"tq{self.port}@localhost", "--erlang-cookie", self._cookie, *words)


def rabbitmqctl(*words: str) -> str:
    """Run rabbitmqctl, on the machine's own node if the words name no other, and return what it says.

    Raises:
        RuntimeError: it failed.
    """
    command = [find_program("rabbitmqctl", PrivateRabbitMQ.package), "--quiet", *words]
    # Erlang looks for a file of the user's below these, and complains on its output where it may not read them.
    kept = {name: value for name, value in os.environ.items() if name != "HOME" and not name.startswith("XDG_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env=kept)
    if done.returncode:
        raise RuntimeError(f"rabbitmqctl {' '.join(words[:1])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def _server(package: str) -> str:
    """Return the node's own program: Debian's wrapper changes the user, and so is for root only."""
    own = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    return own if os.access(own, os.X_OK) else find_program("rabbitmq-server", package)


@contextmanager
def private_rabbitmq() -> Iterator[PrivateRabbitMQ]:
    """Run a RabbitMQ for the time of a ``with`` block."""
    with running(PrivateRabbitMQ()) as server:
        yield server
