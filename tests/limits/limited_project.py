"""What the tests of limits run: tasks that say when they start, that run for ever, and that do not want to end."""

import json
import os
import socket
import time

from tq_core import Celery, signals
from tq_core.contracts.pool import PoolCapabilities
from tq_core.errors import SoftTimeLimitExceeded
from tq_core.pools.threads import ThreadPool

app = Celery("project", broker=os.environ["TEST_URL"], backend=os.environ.get("TEST_BACKEND", os.environ["TEST_URL"]))
app.conf.update(json.loads(os.environ.get("TEST_SETTINGS", "{}")))


class WeakPool(ThreadPool):
    """A pool that can do nothing to a running task."""

    capabilities = PoolCapabilities()


def say(*words):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.connect(os.environ["TEST_BELL"])
        bell.send(" ".join(map(str, words)).encode())


@app.task
def add(x, y):
    return x + y


@app.task
def start(name="task"):
    say("start", name, time.monotonic())
    return os.getpid()


@app.task(rate_limit="1/h")
def rare(name="task"):
    say("rare", name)


@app.task
def gather(values):
    return values


def _stay(seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


@app.task
def stay(name="task"):
    say("staying", name)
    try:
        _stay()
    finally:
        say("leaving", name)


@app.task
async def rest(name="task"):
    import asyncio

    say("staying", name)
    try:
        await asyncio.sleep(60)
    finally:
        say("leaving", name)


@app.task
def stubborn():
    say("staying", "stubborn")
    while True:
        try:
            _stay()
        except Exception:
            say("laughing")


@app.task
def tidy():
    say("staying", "tidy")
    try:
        _stay()
    except SoftTimeLimitExceeded:
        return "cleaned up"


@app.task
def tidy_by_annotation():
    return tidy.run()


@app.task
def tidy_by_control():
    return tidy.run()


@app.task
def endless():
    _stay()


@signals.task_revoked.connect
def told(sender, request, terminated, signum, expired, **_):
    say("revoked", sender.name, request.id, terminated, signum, expired)
