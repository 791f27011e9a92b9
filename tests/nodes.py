"""A worker in processes of its own, and ways to hear from its tasks and to hold them without polling."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

#: Seconds after which a test gives up on an event; never waited for when all is well.
PATIENCE = 40.0


class Bell:
    """A socket on which tasks say what they are doing; always listening, since a full socket blocks its senders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[list[str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._changed = threading.Condition()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        while (words := self._socket.recv(4096).decode().split()) != ["closed"]:
            with self._changed:
                self.heard.append(words)
                self._changed.notify_all()

    def wait(self, word: str, count: int = 1) -> list[list[str]]:
        """Wait until ``word`` has been said ``count`` times, and return what followed it each time."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.said(word)) >= count, PATIENCE), self.heard
            return self.said(word)

    def everything(self, word: str) -> list[list[str]]:
        """Return what followed ``word`` each time it was said before this call, heard by now or not."""
        mark = f"mark-{secrets.token_hex(8)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(mark.encode(), str(self.path))
        self.wait(mark)
        return self.said(word)

    def said(self, word: str) -> list[list[str]]:
        """Return what followed ``word`` each time it was said so far."""
        return [words[1:] for words in self.heard if words[0] == word]

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"closed", str(self.path))
        self._listener.join(PATIENCE)
        self._socket.close()


class WorkerProcess:
    """One ``tq worker`` command."""

    def __init__(self, directory: Path, env: dict[str, str], *options: str, application: str = "project") -> None:
        command = [sys.executable, "-m", "tq_core.cli.main", "-A", application, "worker", "-l", "info", *options]
        self.process = subprocess.Popen(
            command,
            cwd=directory,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, count: int = 1) -> list[str]:
        """Wait until ``count`` lines match, and return them."""
        expression = re.compile(pattern)

        def found() -> list[str]:
            return [line for line in self.lines if expression.search(line)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= count or self._ended, PATIENCE)
        assert len(found()) >= count, f"no line matches {pattern!r}:\n{self.text}"
        return found()

    def ready(self) -> WorkerProcess:
        self.wait_for(r" ready\.$")
        return self

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def kill_everything(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(PATIENCE)


class Gate:
    """A socket at which tasks wait until the test opens it; then it stays open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(64)
        self._lock = threading.Lock()
        self._waiting: list[socket.socket] = []
        self._open = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                self._waiting.append(visitor)
                if self._open:
                    self._let_in()

    def _let_in(self) -> None:
        while self._waiting:
            self._waiting.pop().close()

    def open(self) -> None:
        with self._lock:
            self._open = True
            self._let_in()

    def close(self) -> None:
        self.open()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
