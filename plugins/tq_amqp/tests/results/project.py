"""A project as its users write one; the environment says whether it runs on Celery or on tq, and where."""

import json
import os

if os.environ["SIDE"] == "tq":
    from tq_core import Celery
else:
    from celery import Celery

app = Celery("project", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
app.conf.update(worker_prefetch_multiplier=1, task_track_started=True)
app.conf.update(json.loads(os.environ.get("SETTINGS", "{}")))


@app.task
def add(x, y):
    return x + y


@app.task
def fail(text, number):
    raise ValueError(text, number)


@app.task(bind=True, max_retries=3)
def hesitate(self, times):
    if self.request.retries < times:
        raise self.retry(exc=ValueError("not yet"), countdown=0.05)
    return self.request.retries


@app.task(bind=True)
def progress(self, fifo):
    """Tell how far it is, and go on when somebody has opened the named pipe and closed it again."""
    self.update_state(state="PROGRESS", meta={"done": 1, "of": 2})
    with open(fifo) as pipe:
        pipe.read()
    return "done"


@app.task(bind=True)
def replaced(self, x):
    return self.replace(add.s(x, 1))


@app.task
def text(size):
    return "x" * size


@app.task
def total(numbers):
    return sum(numbers)
