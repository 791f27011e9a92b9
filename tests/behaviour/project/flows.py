"""Tasks of work-flows."""

import os

from project.application import app
from project.signs import say, wait_at
from tq_core import chain, chord, group
from tq_core.errors import Reject


@app.task
def add(x, y):
    return x + y


@app.task
def tsum(values):
    return sum(values)


@app.task
def collect(values, word=None):
    if word is not None:
        say(word, "body")
    return values


@app.task
def told(failed_id, *, word):
    say(word, "errback")


@app.task
def broken(*args):
    raise ValueError("broken on purpose")


@app.task
def unwritable(*args):
    return object()


@app.task
def dies(*args):
    os._exit(7)


@app.task
def blocks(gate, word):
    say(word, "blocks")
    wait_at(gate)


@app.task(bind=True)
def replaced(self, x, kind):
    raise self.replace(
        {
            "task": add.s(x, 100),
            "chain": chain(add.s(x, 1), add.s(10)),
            "group": group(add.s(x, 1), add.s(x, 2)),
            "chord": chord([add.s(x, 1), add.s(x, 2)], tsum.s()),
        }[kind]
    )


@app.task(bind=True)
def adds_to_chord(self, x):
    self.add_to_chord(add.si(x, 1000))
    return x


@app.task
def takes_nothing():
    pass


@app.task
def rejects(*args):
    raise Reject("on purpose")
