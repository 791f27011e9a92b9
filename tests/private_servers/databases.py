"""PostgreSQL and MariaDB of a test's own. Their data directories are copied from one that is made once per run."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.private_servers.server import PrivateServer, find_program, running, user_to_run_as


class PrivatePostgreSQL(PrivateServer):
    """A PostgreSQL whose user ``postgres`` needs no password."""

    name = "postgresql"
    package = "postgresql"
    user = "postgres"
    farewell = signal.SIGINT  # SIGTERM would wait for the clients

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self.host}:{self.port}/postgres"

    def _fill(self) -> None:
        _copy(_postgresql_template(), self.data, self._run_as)

    def _command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": "",
            # A killed process loses nothing that the system has; only a power cut would.
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": "50",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [find_program("postgres", self.package), "-D", str(self.data), *options]

    def _answers(self) -> bool:
        asked = [find_program("pg_isready", self.package), "-q", "-h", self.host, "-p", str(self.port), "-t", "5"]
        return subprocess.run(asked, check=False).returncode == 0


class PrivateMariaDB(PrivateServer):
    """A MariaDB whose user ``root`` needs no password, with an empty database ``test``."""

    name = "mariadb"
    package = "mariadb-server"
    user = "mysql"

    @property
    def url(self) -> str:
        return f"mysql://root@{self.host}:{self.port}/test"

    def _fill(self) -> None:
        _copy(_mariadb_template(), self.data, self._run_as)

    def _command(self) -> Sequence[str]:
        return [
            find_program("mariadbd", self.package),
            "--no-defaults",
            f"--datadir={self.data}",
            f"--bind-address={self.host}",
            f"--port={self.port}",
            f"--socket={self._home / 'socket'}",
            f"--pid-file={self._home / 'pid'}",
            *_SMALL_INNODB,
        ]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1.0) as caller:
                # It greets first: four bytes of length and number, then the version of the protocol.
                return caller.recv(5)[4:] == b"\x0a"
        except OSError:
            return False


@contextmanager
def private_postgresql() -> Iterator[PrivatePostgreSQL]:
    """Run a PostgreSQL for the time of a ``with`` block."""
    with running(PrivatePostgreSQL()) as server:
        yield server


@contextmanager
def private_mariadb() -> Iterator[PrivateMariaDB]:
    """Run a MariaDB for the time of a ``with`` block."""
    with running(PrivateMariaDB()) as server:
        yield server


_SMALL_INNODB = (
    "--innodb-log-file-size=4M",
    "--innodb-buffer-pool-size=32M",
    # A killed process loses nothing that the system has; only a power cut would.
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-flush-method=nosync",
)


@cache
def _postgresql_template() -> Path:
    home = _template_home("postgresql", PrivatePostgreSQL.user)
    initdb = find_program("initdb", PrivatePostgreSQL.package)
    options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync"]
    _make_template([initdb, "-D", str(home / "data"), *options], PrivatePostgreSQL.user, home)
    return home / "data"


@cache
def _mariadb_template() -> Path:
    home = _template_home("mariadb", PrivateMariaDB.user)
    install = find_program("mariadb-install-db", PrivateMariaDB.package)
    options = ["--auth-root-authentication-method=normal", "--skip-name-resolve", *_SMALL_INNODB]
    _make_template([install, "--no-defaults", f"--datadir={home / 'data'}", *options], PrivateMariaDB.user, home)
    return home / "data"


def _template_home(name: str, user: str) -> Path:
    home = Path(tempfile.mkdtemp(prefix=f"tq-{name}-template-"))
    if (run_as := user_to_run_as(user)) is not None:
        os.chown(home, pwd.getpwnam(run_as).pw_uid, -1)
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked child inherits what is to be done at exit
            shutil.rmtree(home, ignore_errors=True)

    atexit.register(remove)
    return home


def _make_template(command: Sequence[str], user: str, home: Path) -> None:
    done = subprocess.run(
        command, user=user_to_run_as(user), cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout.decode(errors='replace')}")


def _copy(template: Path, data: Path, run_as: str | None) -> None:
    # cp keeps holes in files, of which databases leave many; Python's own copy would fill them.
    subprocess.run(["cp", "-a", str(template), str(data)], user=run_as, cwd=data.parent, check=True)
