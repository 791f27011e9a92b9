"""Both sides of the tests: tq, and each version of Celery; their clients and their workers as processes."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.celery_environments import celery_python
from tests.interop.places import Place

#: Seconds after which a driver that says nothing is given up; it gives up its own waits earlier.
PATIENCE = 90.0

_HERE = Path(__file__).parent


def interpreter(side: str) -> str:
    """Return the Python that has a side's library."""
    return sys.executable if side == "tq" else str(celery_python(side.removeprefix("celery-")))


def environment(side: str, place: Place, **settings: Any) -> dict[str, str]:
    """Return the environment in which the project belongs to a side."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CELERY_CONFIG_MODULE")}
    return {
        **kept,
        "PYTHONPATH": str(_HERE),
        "PYTHONUNBUFFERED": "1",
        # Celery's workers refuse pickle to root unless told so; here every message is the tests' own.
        "C_FORCE_ROOT": "1",
        "INTEROP_SIDE": side.partition("-")[0],
        "INTEROP_BROKER": place.broker,
        "INTEROP_BACKEND": place.backend,
        "INTEROP_TIMES": json.dumps({"ahead": place.ahead, "pause": place.pause}),
        "INTEROP_SETTINGS": json.dumps({**place.settings, **settings}),
    }


class Driver:
    """A client process of one side.

    Args:
        side: one of :data:`~tests.interop.places.SIDES`.
        place: where messages and results are.
    """

    def __init__(self, side: str, place: Place) -> None:
        self.side, self.place = side, place
        self._log = _log_file(f"{side}-driver")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [interpreter(side), str(_HERE / "driver.py")],
                env=environment(side, place),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def __call__(self, word: str, *arguments: Any) -> Any:
        """Have something done, and return what comes of it.

        Raises:
            AssertionError: it raised, the process died, or it said nothing for long.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([word, *arguments]) + "\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            line = ""
        assert line, f"the client of {self.side} said nothing about {word}:\n{self._log.read_text()[-3000:]}"
        verdict, value = json.loads(line)
        assert verdict == "ok", f"{self.side}: {word}: {value}"
        return value

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.unlink(missing_ok=True)


class WorkerNode:
    """A worker of one side, in a process group of its own. It runs one task at a time.

    Args:
        side: one of :data:`~tests.interop.places.SIDES`.
        place: where messages and results are.
        queue: it receives from this one.
        name: the node's name.
        settings: of this worker alone.
    """

    def __init__(self, side: str, place: Place, queue: str, name: str, **settings: Any) -> None:
        self.side, self.queue, self.name = side, queue, name
        self._log = _log_file(side)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [interpreter(side), "-m", *_command(side), "-l", "info", "-c", "1", "-Q", queue, "-n", name],
                env=environment(side, place, **settings),
                cwd=_HERE,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text(errors="replace")

    def ready(self) -> WorkerNode:
        """Wait until it receives."""
        deadline, pause = time.monotonic() + PATIENCE, threading.Event()
        while " ready." not in self.log:
            assert self.process.poll() is None, f"the worker of {self.side} has ended:\n{self.log}"
            assert time.monotonic() < deadline, f"the worker of {self.side} is not ready:\n{self.log}"
            pause.wait(0.05)
        return self

    def kill(self) -> None:
        """Kill all of its processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it cleanly."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def close(self) -> None:
        """Kill it and forget what it said."""
        self.kill()
        self._log.unlink(missing_ok=True)


def _log_file(name: str) -> Path:
    handle, path = tempfile.mkstemp(prefix=f"tq-interop-{name}-", suffix=".log")
    os.close(handle)
    return Path(path)


def _command(side: str) -> Sequence[str]:
    if side == "tq":
        return ["tq_core.cli.main", "-A", "project", "worker"]
    return ["celery", "-A", "project", "worker", "-P", "prefork"]
