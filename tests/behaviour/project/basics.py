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


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def count_in(a_set):
    assert isinstance(a_set, set)
    return len(a_set)


@app.task
def tell(value, word):
    say(word, value)


@app.task
def tell_failed(task_id, *, word):
    say(word, task_id)
