"""The application the fault suite runs; every task writes what it does to a ledger that survives any kill."""

import os
import time

from tq_core import Celery
from tq_core.canvas import chord, group

URL = os.environ["FAULTS_URL"]
app = Celery("project", broker=URL, backend=os.environ.get("FAULTS_RESULTS", URL))
app.conf.imports = ["mischief"]
for variable, setting in {
    "FAULTS_DELIVERIES": "task_max_deliveries",
    "FAULTS_LEASE": "lease_duration",
    "FAULTS_PUBLISH_TIMEOUT": "broker_publish_timeout",
}.items():
    if variable in os.environ:
        setattr(app.conf, setting, float(os.environ[variable]))
if "FAULTS_BUSY" in os.environ:
    app.conf.broker_transport_options = {"busy_timeout": float(os.environ["FAULTS_BUSY"])}

__all__ = ["chord", "group"]


def note(word, number):
    # One write to a file opened for appending is never torn, and is the kernel's before this process can die.
    handle = os.open(os.environ["FAULTS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{word} {number} {os.getpid()} {time.time():.6f}\n".encode())
    finally:
        os.close(handle)


def work(number, seconds):
    note("start", number)
    time.sleep(seconds)
    note("end", number)
    return number


@app.task
def early(number, seconds=0.0):
    return work(number, seconds)


@app.task(acks_late=True, reject_on_worker_lost=True)
def late(number, seconds=0.0):
    return work(number, seconds)


@app.task
def good(number):
    return number


@app.task(acks_late=True, reject_on_worker_lost=True)
def poison(number):
    note("start", number)
    os.abort()


@app.task
def total(numbers):
    note("total", sum(numbers))
    return sum(numbers)


@app.task
def failed(request, error, traceback):
    note("failed", request.id)
