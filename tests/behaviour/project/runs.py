"""Tasks that show what a run can know, and how it can end."""

import os
import time

from project.application import app
from project.basics import add
from project.signs import say, wait_at
from tq_core import Task
from tq_core.abortable import AbortableTask
from tq_core.errors import MaxRetriesExceededError, Retry


class OrderRefused(Exception):
    """Follows the rule: its arguments are those of its constructor."""

    def __init__(self, number, reason):
        super().__init__(number, reason)
        self.number, self.reason = number, reason


class Forgetful(Exception):
    """Breaks the rule: what it is made with is not in its arguments."""

    def __init__(self, number, reason):
        super().__init__()
        self.text = f"{number}: {reason}"

    def __str__(self):
        return self.text


@app.task(bind=True)
def look(self, *args, **kwargs):
    request = self.request
    return {
        "id": request.id,
        "task": request.task,
        "args": request.args,
        "kwargs": request.kwargs,
        "retries": request.retries,
        "is_eager": request.is_eager,
        "called_directly": request.called_directly,
        "hostname": request.hostname,
        "delivery_info": request.delivery_info,
        "root_id": request.root_id,
        "parent_id": request.parent_id,
        "group": request.group,
        "taskset": request.taskset,
        "group_index": request.group_index,
        "correlation_id": request.correlation_id,
        "reply_to": request.reply_to,
        "origin": request.origin,
        "eta": request.eta,
        "expires": request.expires,
        "timelimit": request.timelimit,
        "headers": request.headers,
        "tenant": request.get("tenant"),
        "shadow": request.shadow,
        "ignore_result": request.ignore_result,
        "loglevel": request.loglevel,
        "logfile": request.logfile,
        "utc": request.utc,
        "now": time.time(),
        "pid": os.getpid(),
    }


@app.task(bind=True)
async def look_as_coroutine(self, word):
    return [word, self.request.id, self.request.task, self.request.retries, app.current_task.name]


@app.task(bind=True)
def meet(self, word, gate):
    before = self.request.id
    say(word, "met")
    wait_at(gate)
    return [before, self.request.id]


@app.task(bind=True)
def parent(self, number):
    child = look.delay(number)
    return [self.request.id, child.id]


@app.task(bind=True, max_retries=2)
def retry_until(self, word, enough, countdown=0):
    say(word, "run", self.request.id, self.request.retries, self.request.delivery_info["routing_key"])
    if self.request.retries < enough:
        self.retry(exc=OrderRefused(self.request.retries, "not yet"), countdown=countdown)
        say(word, "never")
    return self.request.retries


@app.task(bind=True, max_retries=1)
def retry_without_a_reason(self):
    asked = None
    try:
        self.retry(countdown=0)
    except Retry as error:
        asked = error
    assert asked.exc is None
    raise asked


@app.task(bind=True, max_retries=1)
def retry_quietly(self, word):
    if not self.request.retries:
        asked = self.retry(countdown=0, throw=False)
        say(word, "after", type(asked).__name__)
        return "first"
    say(word, "second")
    return "second"


@app.task(bind=True)
def retry_with_others(self, number, *, steps=0):
    if not self.request.retries:
        self.retry(args=(number + 1,), kwargs={"steps": steps + 1}, countdown=0)
    return [number, steps, self.request.retries]


@app.task(bind=True, max_retries=None)
def retry_for_long(self, times):
    if self.request.retries < times:
        self.retry(countdown=0)
    return self.request.retries


@app.task(bind=True, max_retries=5)
def retry_less(self):
    try:
        self.retry(max_retries=self.request.retries, countdown=0)
    except MaxRetriesExceededError:
        return "gave up"


@app.task(bind=True)
def retry_later(self, word, countdown):
    say(word, "run", time.time())
    if not self.request.retries:
        self.retry(exc=OrderRefused(1, "later"), countdown=countdown)
    return "done"


@app.task(bind=True)
def retry_pickled(self, value):
    if not self.request.retries:
        self.retry(countdown=0)
    return sorted(value)


@app.task(
    bind=True,
    autoretry_for=(OrderRefused, ArithmeticError),
    dont_autoretry_for=(OverflowError,),
    retry_kwargs={"max_retries": 2, "countdown": 0},
)
def fail_by_itself(self, word, kind):  # fmt: skip
    say(word, self.request.retries)
    raise {"order": OrderRefused(1, "no"), "zero": ZeroDivisionError("z"), "over": OverflowError("o")}[kind]


@app.task(bind=True, autoretry_for=(ValueError,), retry_backoff=0.01, retry_backoff_max=0.02, retry_jitter=False)
def back_off(self):
    if self.request.retries < 3:
        raise ValueError("once more")
    return self.request.retries


@app.task
def refuse(number, reason):
    raise OrderRefused(number, reason)


@app.task
def forget(number, reason):
    raise Forgetful(number, reason)


@app.task(bind=True)
def progress(self, word, gate):
    self.update_state(state="PROGRESS", meta={"current": 1, "total": 2})
    say(word, "told")
    wait_at(gate)
    return "done"


@app.task(bind=True, track_started=True)
def progress_at_once(self, word, gate):
    self.update_state(state="PROGRESS", meta="at once")
    say(word, "told")
    wait_at(gate)


@app.task(bind=True, track_started=True)
def tracked(self, word, gate):
    say(word, os.getpid())
    wait_at(gate)
    return "done"


@app.task(bind=True, base=AbortableTask)
def stoppable(self, word, gate):
    assert not self.is_aborted()
    say(word, "running")
    wait_at(gate)
    return "stopped" if self.is_aborted() else "finished"


class Handled(Task):
    """Tells of each of its handlers, which return garbage and may raise."""

    abstract = True

    def before_start(self, task_id, args, kwargs):
        say(kwargs["word"], "before", task_id)

    def on_success(self, retval, task_id, args, kwargs):
        say(kwargs["word"], "success", task_id, retval)
        return "garbage"

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        say(kwargs["word"], "retry", task_id, type(exc).__name__, type(einfo).__name__)
        return "garbage"

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        say(kwargs["word"], "failure", task_id, type(exc).__name__, "raise" in str(einfo))
        return "garbage"

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        say(kwargs["word"], "after", task_id, status, einfo is not None)
        raise RuntimeError("a handler's own fault")


@app.task(bind=True, base=Handled, max_retries=1)
def handled(self, how, word=None):
    if how == "retry" and not self.request.retries:
        raise self.retry(exc=ValueError("again"), countdown=0)
    if how == "fail":
        raise KeyError(how)
    return how


class Counting(app.Task):
    """Keeps state in its process."""

    abstract = True

    def __init__(self):
        self.made = getattr(type(self), "made", 0) + 1
        self.runs = 0


@app.task(bind=True, base=Counting)
def count(self):
    self.runs += 1
    return [os.getpid(), self.made, self.runs]


@app.task(ignore_result=True)
def silent(word):
    say(word, "silent")


@app.task(ignore_result=True, store_errors_even_if_ignored=True)
def loud_only_in_failure():
    raise ValueError("loud")


@app.task
def wait_for_a_task():
    return look.delay().get(timeout=1)


@app.task
def fetch(url, callback=None):
    from tq_core.canvas import subtask

    return subtask(callback).delay(url, f"page of {url}").id


@app.task(name="sum-of-two-numbers")
def named(x, y):
    return x + y


def doubled(function):
    def around(*args):
        return 2 * function(*args)

    around.__name__ = function.__name__
    around.__module__ = function.__module__
    return around


@app.task
@doubled
def wrapped(x, y):
    return x + y


@app.task(bind=True)
def replaced(self, number):
    raise self.replace(add.s(number, 1) | add.s(10))


@app.task(bind=True)
def enlarge(self, number):
    self.add_to_chord(add.s(number, 100))
    return number
