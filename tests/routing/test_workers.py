"""Queues of real workers: those of the command line, a worker's own, and kombu's broadcasts."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import kombu
import kombu.common
import pytest

from tests.behaviour.places import PLACES
from tests.nodes import PATIENCE, WorkerProcess
from tq_core import Celery
from tq_core.errors import NotSupported

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

PROJECT = """
import os
from kombu.common import Broadcast
from tq_core import Celery

app = Celery("project", broker=os.environ["TEST_BROKER"], backend=os.environ["TEST_BACKEND"])
app.conf.task_queues = eval(os.environ["TEST_QUEUES"])
app.conf.worker_direct = True

@app.task(bind=True)
def where(self):
    print("ran on", self.request.hostname, flush=True)
    return self.request.hostname
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    (tmp_path / "project.py").write_text(PROJECT)
    started: list[WorkerProcess] = []

    def start(urls: tuple[str, str], queues: str, *options: str) -> WorkerProcess:
        env = {**os.environ, "TEST_BROKER": urls[0], "TEST_BACKEND": urls[1], "TEST_QUEUES": queues}
        started.append(WorkerProcess(tmp_path, env, "-c", "1", *options))
        return started[-1]

    yield start
    for worker in started:
        worker.kill_everything()


def test_workers_receive_from_the_queues_of_the_command_line_and_from_their_own(start, sqlite_url):
    urls = (sqlite_url, sqlite_url)
    queues = repr(["a", "b", "c"])
    first, second = start(urls, queues, "-n", "w1@h", "-Q", "a,new"), start(urls, queues, "-n", "w2@h", "-X", "a")
    with Celery("client", broker=sqlite_url, backend=sqlite_url, set_as_current=False) as app:
        ran = {
            queue: app.send_task("project.where", queue=queue).get(timeout=PATIENCE)
            for queue in ("a", "new", "b", "c", "w1@h.dq", "w2@h.dq")
        }
    assert ran == {"a": "w1@h", "new": "w1@h", "b": "w2@h", "c": "w2@h", "w1@h.dq": "w1@h", "w2@h.dq": "w2@h"}
    assert first.process.poll() is second.process.poll() is None


def test_a_broadcast_needs_a_broker_with_exchanges():
    with Celery("proj", broker=f"memory://{uuid.uuid4().hex}", backend="disabled://", set_as_current=False) as app:
        app.conf.task_queues = [kombu.Queue("celery"), kombu.common.Broadcast("everybody")]
        with pytest.raises(NotSupported, match=r"'everybody' is a kombu Broadcast.*Name a queue for each worker"):
            app.send_task("t", queue="everybody")


def test_a_broadcast_runs_once_on_each_worker(start, require_service):
    require_service("rabbitmq")
    with PLACES["rabbitmq"].open() as urls:
        queues = "[Broadcast('everybody')]"
        workers = [start(urls, queues, "-n", name) for name in ("w1@h", "w2@h")]
        for worker in workers:
            worker.ready()
        with Celery("client", broker=urls[0], backend=urls[1], set_as_current=False) as app:
            app.conf.task_queues = [kombu.Queue("celery"), kombu.common.Broadcast("everybody")]
            for name in ("w1@h", "w2@h"):  # who has run what came after it has its broadcasts' queue as well
                app.send_task("project.where", queue=f"{name}.dq").get(timeout=PATIENCE)
            for _ in range(3):
                app.send_task("project.where", queue="everybody")
        for worker, name in zip(workers, ("w1@h", "w2@h"), strict=True):
            worker.wait_for(f"ran on {name}", 4)
