"""What the tests of signals run: an application that writes down every signal that is sent."""

import json
import os
import threading

from tq_core import Celery, signals

URL = os.environ["TEST_URL"]
app = Celery("project", broker=URL, backend=URL)


def kind(value):
    """Say what a receiver was given."""
    if isinstance(value, app.Task):
        return value.name
    return value if isinstance(value, (str, int, type(None))) else type(value).__name__


def listener(name):
    def note(signal, sender, **given):
        line = {
            "signal": name,
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
            "sender": getattr(sender, "name", None) or getattr(sender, "hostname", None) or sender,
            "app": getattr(sender, "app", None) is app,
            "given": {key: kind(value) for key, value in given.items()},
        }
        if name == "task_received":
            request = given["request"]
            line["seen"] = [request.id, request.name, list(request.args), str(request.expires), str(request)]
        if name == "before_task_publish":
            given["headers"]["tenant"] = "blue"
        if name == "task_prerun":
            line["seen"] = [given["task"].request.get("tenant")]
        if name in ("task_rejected", "task_unknown"):
            line["seen"] = [given["message"].headers.get("id"), given["message"].delivery_info["routing_key"]]
        if name == "task_revoked":
            line["seen"] = [given["request"].id]
        if name == "celeryd_init":
            given["conf"].worker_log_format = "SAID %(message)s"
        if name == "celeryd_after_setup":
            given["instance"].app.queues.select_add(f"{sender}.own")
        with open(os.environ["TEST_NOTES"], "a", encoding="utf-8") as notes:
            notes.write(json.dumps(line, default=repr) + "\n")

    return note


CONNECTED = {
    name: signal.connect(listener(name), weak=False) for name, signal in signals.ALL.items() if name != "setup_logging"
}


def disconnect():
    for name, function in CONNECTED.items():
        signals.ALL[name].disconnect(function)


@app.task
def add(x, y):
    return x + y


@app.task
def fail():
    raise ValueError("it must")


@app.task(bind=True, max_retries=1)
def again(self):
    raise self.retry(countdown=0)


@app.task
def unserialisable():
    return object()


@app.task(time_limit=0.5)
def stuck():
    threading.Event().wait()
