"""The application that is measured: a task that does nothing."""

import os

from tq_core import Celery

app = Celery("tasks", broker=os.environ["BENCH_URL"], backend=os.environ["BENCH_URL"])
app.conf.task_acks_late = os.environ.get("BENCH_LATE") == "1"


@app.task
def add(x, y):
    return x + y
