"""What the worker tests run: an application as a user would write one."""

import os
import signal
import socket
import sys
import time

from tq_core import Celery
from tq_core.errors import Ignore, Reject, SoftTimeLimitExceeded

app = Celery("project", broker=os.environ["TEST_URL"], backend=os.environ["TEST_URL"])

if "TEST_BUSY_TIMEOUT" in os.environ:
    app.conf.broker_transport_options = {"busy_timeout": float(os.environ["TEST_BUSY_TIMEOUT"])}


def say(*words):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.connect(os.environ["TEST_BELL"])
        bell.send(" ".join(map(str, words)).encode())


@app.task
def add(x, y):
    return x + y


@app.task
def whoami():
    return os.getpid()


@app.task(bind=True)
def wait_at_gate(self, name="task"):
    say("waiting", name, os.getpid(), self.request.id)
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect(os.environ["TEST_GATE"])
        gate.recv(1)
    say("passed", name, os.getpid())
    return name


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def wait_at_gate_late(self, name="task"):
    return wait_at_gate.run(name)


@app.task(bind=True, acks_late=True)
def record_late(self, number, seconds=0.0):
    say("run", number, os.getpid())
    time.sleep(seconds)
    say("done", number)
    return number


@app.task(bind=True)
def record_early(self, number, seconds=0.0):
    say("run", number, os.getpid())
    # Long enough for the runner to have told the broker that this has begun.
    time.sleep(0.2)
    say("underway", number)
    time.sleep(seconds)
    say("done", number)
    return number


@app.task
def kill_myself():
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(acks_late=True, reject_on_worker_lost=True)
def poison():
    say("poisoned", os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def exit_process():
    os._exit(3)


@app.task
def leave():
    sys.exit("leaving")


@app.task
def fail(text="no"):
    raise ValueError(text)


@app.task(bind=True, max_retries=3, default_retry_delay=0.05)
def fail_twice(self):
    say("attempt", self.request.retries)
    if self.request.retries < 2:
        raise self.retry(exc=ValueError("not yet"))
    return self.request.retries


@app.task(bind=True, max_retries=1)
def fail_always(self):
    raise self.retry(exc=KeyError("never"), countdown=0.01)


@app.task(autoretry_for=(ZeroDivisionError,), retry_backoff=0.01, max_retries=2)
def divide(x, y):
    return x / y


@app.task
def sleep(seconds):
    say("sleeping", os.getpid())
    time.sleep(seconds)
    return seconds


@app.task
def spin(seconds):
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            # CPython 3.13 covers the jump of an empty loop by no ``try``: an exception would miss the handler.
            sum(range(100))
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "finished"


@app.task
def reject():
    raise Reject("not for me", requeue=False)


@app.task
def ignore():
    raise Ignore


@app.task
def grow(mebibytes):
    grow.kept = bytearray(mebibytes << 20)
    return os.getpid()


@app.task(bind=True, track_started=True)
def tracked(self):
    return wait_at_gate.run("tracked")


@app.task
def unserialisable():
    return object()


@app.task(ignore_result=True)
def silent():
    say("silent")
