"""A real worker and a client of it, for tests of what a worker says and does."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.site import Node, wait_until
from tq_core import Celery

PROJECT = """\
import json, os, time
from tq_core import Celery

app = Celery("project", broker=os.environ["PROJECT_URL"])
app.conf.update(json.loads(os.environ["PROJECT_SETTINGS"]))


@app.task
def good(number, seconds=0.0):
    time.sleep(seconds)
    return number
"""


class WorkerSite:
    """A worker in processes of its own, and a client, with the same settings.

    Args:
        directory: where the worker runs.
        url: of the broker.
    """

    def __init__(self, directory: Path, url: str) -> None:
        self._directory = directory
        self.url = url
        self.settings: dict[str, Any] = {}
        self._ended: list[Callable[[], object]] = []
        (directory / "project.py").write_text(PROJECT)

    def worker(self, *queues: str, url: str = "") -> Node:
        """Start a worker of some queues, and wait until it is ready."""
        env = {**os.environ, "PROJECT_URL": url or self.url, "PROJECT_SETTINGS": json.dumps(self.settings)}
        node = Node(self._directory, env, ["-c", "1", "-Q", ",".join(queues)])
        self._ended.append(node.kill)
        return node.ready()

    def client(self, url: str = "") -> Celery:
        """Return an application with the same settings."""
        app = Celery("client", broker=url or self.url)
        app.conf.update(self.settings)
        self._ended.append(app.close)
        return app

    def runs(self, node: Node, queue: str, seconds: float = 0.0) -> bool:
        """Send a task of so many seconds to a queue and wait until the worker has run it."""
        task_id = str(uuid.uuid4())
        self.client().send_task("project.good", (1, seconds), queue=queue, task_id=task_id)
        return wait_until(lambda: f"[{task_id}] succeeded" in node.text, 30)

    def close(self) -> None:
        """End the worker and the clients."""
        for end in self._ended:
            end()
