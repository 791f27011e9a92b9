"""Tasks of no particular subject."""

from project.application import app
from project.signs import say, wait_at


@app.task
def add(x, y):
    return x + y


@app.task
def echo(*args, **kwargs):
    return [list(args), kwargs]


@app.task
def fail(text="no"):
    raise ValueError(text)


@app.task
def hold(word, gate):
    say(word, "held")
    wait_at(gate)
    return word
