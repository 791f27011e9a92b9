"""An application on a shared folder; tq's and Celery's processes both load it, each with the library it has."""

import os
import socket
from pathlib import Path

try:
    from tq_core import Celery
except ImportError:
    from celery import Celery

ROOT = Path(os.environ["TEST_ROOT"])
app = Celery("project", broker="filesystem://", backend=f"file://{ROOT / 'results'}")
app.conf.broker_transport_options = {
    "data_folder_in": str(ROOT / "messages"),
    "data_folder_out": str(ROOT / "messages"),
    "control_folder": str(ROOT / "control"),
}
app.conf.worker_prefetch_multiplier = 1
app.conf.task_compression = os.environ.get("TEST_COMPRESSION") or None
app.conf.task_default_queue = os.environ.get("TEST_QUEUE", "celery")


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=3)
def third_time(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task
def chained(value, factor):
    return value * factor


@app.task(acks_late=True)
def wait_at_gate(name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.connect(os.environ["TEST_BELL"])
        bell.send(f"waiting {name}".encode())
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect(os.environ["TEST_GATE"])
        gate.recv(1)
    return name
