"""A project as its users write one; the environment says whether it runs on Celery or on tq.

Nothing here, but for the imports, depends on which of the two it is.
"""

import json
import os
import time

if os.environ["INTEROP_SIDE"] == "tq":
    from tq_core import Celery, chain, chord, group
else:
    from celery import Celery, chain, chord, group

__all__ = ["TIMES", "Celery", "app", "chain", "chord", "group"]

#: Seconds by which a call is sent before its time, and seconds between a task and its retry.
TIMES = json.loads(os.environ["INTEROP_TIMES"])

app = Celery("project", broker=os.environ["INTEROP_BROKER"], backend=os.environ["INTEROP_BACKEND"])
app.conf.update(
    accept_content=["json", "pickle", "msgpack"],
    # A worker that is held up by a task has then no other message in its hands.
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
app.conf.update(json.loads(os.environ.get("INTEROP_SETTINGS", "{}")))


@app.task
def show(value):
    """Tell what arrived, types included."""
    return repr(value)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def moment():
    return time.time()


@app.task(bind=True)
def path(self, before=()):
    """Add the node that runs this to the list of those before."""
    return [*before, self.request.hostname]


@app.task(bind=True, max_retries=3)
def hesitate(self, times):
    """Ask to be run again so many times, then tell how often that was."""
    if self.request.retries < times:
        raise self.retry(exc=ValueError("not yet"), countdown=TIMES["pause"])
    return self.request.retries


@app.task
def fail(text, number):
    raise ValueError(text, number)


@app.task(acks_late=True, reject_on_worker_lost=True)
def hold(fifo):
    """Wait until somebody has opened the named pipe for writing and closed it again."""
    with open(fifo) as pipe:
        pipe.read()
    return "held"


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def strand(self, fifo, stranded_on):
    """Stay for ever on one node, and return at once on any other; the pipe tells that it was there."""
    if self.request.hostname == stranded_on:
        with open(fifo, "w"):
            pass
        time.sleep(3600)
    return self.request.hostname
