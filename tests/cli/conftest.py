"""``tq`` in processes of its own, in a directory with a small project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

#: Seconds after which a test gives up; never waited for when all is well.
PATIENCE = 60.0

PROJECT = """
from tq_core import Celery
from tq_core.log import get_task_logger

app = Celery("proj")
app.config_from_file()
logger = get_task_logger(__name__)

@app.task(name="proj.add")
def add(x, y):
    return x + y

@app.task(name="proj.fail")
def fail():
    raise ValueError("as it must")

@app.task(name="proj.speak")
def speak():
    print("printed by a task")
    logger.info("logged by a task")
"""


class Running:
    """A ``tq`` command that goes on, with the lines it has written so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, pattern: str, count: int = 1) -> str:
        """Wait until ``count`` lines match, and return the last of them."""

        def found() -> list[str]:
            return [line for line in self.lines if re.search(pattern, line)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= count or self._ended, PATIENCE)
        assert len(found()) >= count, f"{count} lines like {pattern!r} did not come:\n" + "\n".join(self.lines)
        return found()[count - 1]

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


class Tq:
    """Runs ``tq`` in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = f"sqlite:///{directory / 'tq.db'}"
        paths = [path for path in sys.path if path and "tests" not in Path(path).parts]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("TQ_", "CELERY_"))}
        self.env = {
            **clean,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "TQ_DATA_DIR": str(directory / "data"),
            "HOME": str(directory),
        }
        self.command = [sys.executable, "-m", "tq_core.cli.main"]
        self._running: list[Running] = []

    def __call__(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*self.command, *arguments],
            cwd=self.directory,
            env=self.env,
            capture_output=True,
            text=True,
            input=input,
            timeout=PATIENCE,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """Run a command with ``--json`` and return its data."""
        done = self(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def run_python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run some Python where ``tq`` would run."""
        command = [sys.executable, "-c", code]
        return subprocess.run(command, cwd=self.directory, env=self.env, capture_output=True, text=True, check=False)

    def start(self, *arguments: str) -> Running:
        """Start a command that goes on."""
        process = subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.directory,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running = Running(process)
        self._running.append(running)
        return running

    def write(self, name: str, text: str) -> Path:
        """Write a file into the directory."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def close(self) -> None:
        for running in self._running:
            if running.process.poll() is None:
                running.stop()


@pytest.fixture
def tq(tmp_path: Path) -> Iterator[Tq]:
    made = Tq(tmp_path)
    made.write("proj.py", PROJECT)
    made.write("celeryconfig.yaml", f"broker_url: {made.url}\nresult_backend: {made.url}\n")
    yield made
    made.close()
