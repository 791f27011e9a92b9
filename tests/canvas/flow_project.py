"""What the work-flow tests run."""

import os

from tq_core import Celery, chord, group

app = Celery("flow", broker=os.environ["TEST_URL"], backend=os.environ["TEST_URL"])
app.conf.result_extended = True


@app.task
def add(x, y, z=0):
    return x + y + z


@app.task
def tsum(values):
    return sum(values)


@app.task
def identity(value):
    return value


@app.task
def fail(*args):
    raise ValueError("broken on purpose")


@app.task(bind=True)
def replaced_by_group(self, x):
    raise self.replace(group(add.s(x, 1), add.s(x, 2)))


@app.task(bind=True)
def replaced_by_task(self, x):
    raise self.replace(add.s(x, 100))


@app.task(bind=True)
def waits_inside(self):
    return add.delay(1, 1).get(timeout=5)


@app.task
def starts_chord(x):
    return chord([add.s(x, 1), add.s(x, 2)], tsum.s()).apply_async().id
