"""Workers and clients in processes of their own, on tq or on a real Celery."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.celery_environments import celery_python

HERE = Path(__file__).parent
#: Seconds after which a test gives up on an event; never waited for when all is well.
PATIENCE = 60.0


class Side:
    """A deployment of the project of these tests, on tq or on Celery.

    Args:
        name: ``tq``, or a version of Celery.
        broker, backend: URLs.
        queue: the queue of this test.
        settings: more settings.
    """

    def __init__(self, name: str, broker: str, backend: str, queue: str, settings: dict[str, Any]) -> None:
        self.name = name
        self._settings = {"task_default_queue": queue, **settings}
        self._environment = {
            **os.environ,
            "SIDE": "tq" if name == "tq" else "celery",
            "BROKER": broker,
            "BACKEND": backend,
            "SETTINGS": json.dumps(self._settings),
        }
        self.python = sys.executable if name == "tq" else str(celery_python(name))

    @contextmanager
    def worker(self, *options: str) -> Iterator[int]:
        """Run a worker until the end of the block; yields its process id once it receives tasks."""
        module = ["tq_core"] if self.name == "tq" else ["celery"]
        command = [self.python, "-m", *module, "-A", "project", "worker", "-l", "info", "-c", "1", *options]
        process = subprocess.Popen(
            command, cwd=HERE, env=self._environment, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if " ready" in line:
                    break
            else:
                pytest.fail("the worker did not start:\n" + "".join(said[-20:]))
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    def client(self, code: str) -> Any:
        """Run a program that uses the project, and return what its last line prints as JSON."""
        program = f"import json, project\nfrom project import *\n{code}"
        done = subprocess.run(
            [self.python, "-c", program],
            cwd=HERE,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture
def side(vhost: str) -> Callable[..., Side]:
    """Makes deployments that share a broker and a queue of their own."""
    queue = f"results-{uuid.uuid4().hex[:8]}"

    def make(name: str, backend: str = "rpc://", **settings: Any) -> Side:
        return Side(name, vhost, backend, queue, settings)

    return make


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends at the end of the test what was entered in it."""
    with ExitStack() as stack:
        yield stack
