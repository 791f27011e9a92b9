"""What all private servers have in common: a process, a port, a directory, and how they are killed."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

Server = TypeVar("Server", bound="PrivateServer")

#: Seconds a server may take to answer, or to end when it is asked to.
PATIENCE = 30.0

#: Seconds between two looks at a server that is starting or ending.
LOOK_EVERY = 0.02

#: Ports no system hands out to clients: a client that calls a dead server again and again would else meet itself.
PORTS = range(20_000, 32_000)


class PrivateServer(ABC):
    """A server of one test.

    Attributes:
        host: always the loopback interface.
        port: stays the same when the server is started again.
        data: the directory of its data.
    """

    #: Its name in texts, the Debian package that brings it, and the user it runs as where the tests run as root.
    name: str
    package: str
    user: str

    #: The signal that asks it to end cleanly without waiting for its clients.
    farewell = signal.SIGTERM

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.port = free_port()
        self._home = Path(tempfile.mkdtemp(prefix=f"tq-{self.name}-"))
        self.data = self._home / "data"
        self._log = self._home / "log"
        self._run_as = user_to_run_as(self.user)
        self._process: subprocess.Popen[bytes] | None = None
        if self._run_as is not None:
            os.chown(self._home, pwd.getpwnam(self._run_as).pw_uid, -1)

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL of its first database, without a driver."""

    @abstractmethod
    def _fill(self) -> None:
        """Make the data directory."""

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Return the command that runs it in the foreground."""

    @abstractmethod
    def _answers(self) -> bool:
        """Return whether it takes commands; it may not be listening yet."""

    @property
    def pid(self) -> int:
        """Process id of the running server.

        Raises:
            RuntimeError: It is not running.
        """
        if self._process is None:
            raise RuntimeError(f"the private {self.name} is not running: start() it first")
        return self._process.pid

    def start(self) -> None:
        """Start it, with the data and on the port it had before, and wait until it takes commands.

        Raises:
            RuntimeError: It runs already, ended by itself or did not answer in time; carries the end of its log.
        """
        if self._process is not None:
            raise RuntimeError(f"the private {self.name} runs already")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                user=self._run_as,
                start_new_session=True,  # Ctrl-C is for the tests, not for their servers
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the private {self.name} did not start:\n{self._last_words()}")
            time.sleep(LOOK_EVERY)

    def stop(self) -> None:
        """End it cleanly, connections included; nothing happens when it is not running.

        Raises:
            RuntimeError: It did not end in time and was killed.
        """
        if self._process is None:
            return
        self.thaw()
        self._process.send_signal(self.farewell)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the private {self.name} did not stop:\n{self._last_words()}") from None
        self._process = None

    def kill(self) -> None:
        """Kill all of its processes at once and wait until they are gone; nothing happens when it is not running."""
        if self._process is None:
            return
        # Frozen first, the parent cannot start another child in between.
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGSTOP)
        family = _family(self._process.pid)
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._process = None
        _await_end(family)

    def freeze(self) -> None:
        """Halt all of its processes: its port accepts connections, and nothing answers."""
        for pid in (self.pid, *_family(self.pid)):
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after :meth:`freeze`."""
        for pid in _family(self.pid):
            os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill it and remove its data."""
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


@contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        server._fill()
        server.start()
        yield server
    finally:
        server.close()


# --- programs, ports and processes


@cache
def find_program(program: str, package: str) -> str:
    # Debian keeps PostgreSQL's programs apart by version, and the others' where only root looks.
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    newest_first = sorted(versions, key=lambda place: _number(place.parent.name), reverse=True)
    places = [*map(str, newest_first), os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"]
    found = shutil.which(program, path=os.pathsep.join(places))
    if found is None:
        raise RuntimeError(f"{program} is not installed, and tests need a server of their own: apt install {package}")
    return found


def _number(version: str) -> float:
    try:
        return float(version)
    except ValueError:
        return 0.0


def user_to_run_as(user: str) -> str | None:
    """Return the user to change to, or None where this one will do."""
    if os.geteuid() != 0:
        return None
    for name in (user, "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError(f"a server does not run as root, and there is neither a user {user} nor nobody: make one")


def free_port() -> int:
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((PrivateServer.host, port))
            return port
    raise RuntimeError(f"no free port among {PORTS}")


def _family(pid: int) -> list[int]:
    """Return a process and its children, and theirs."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], stdout=subprocess.PIPE, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [pid]
    for parent in found:  # grows while it is read
        found += [child for child, of in pairs if of == parent]
    return found


def _await_end(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    wanted = ",".join(map(str, pids))
    while True:
        states = subprocess.run(["ps", "-o", "state=", "-p", wanted], stdout=subprocess.PIPE, text=True, check=False)
        # Whoever adopts the orphans may take its time to bury them.
        if all(state.startswith("Z") for state in states.stdout.split()):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {wanted} were killed and did not end")
        time.sleep(LOOK_EVERY)
