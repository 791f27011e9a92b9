"""Every signal: when it is sent, from where, with what, and in which process."""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.nodes import PATIENCE
from tq_core import signals
from tq_core.message import Message

NODE = "w1@host"


class Moment(NamedTuple):
    """One row of the table.

    Attributes:
        where: ``caller``, ``main`` or ``runner``: the process.
        sender: name of the sender, or None.
        given: some of what the receivers got; everything must have been there by name.
    """

    where: str
    sender: str | None
    given: dict[str, Any]


TASK = "project.add"
#: What a worker of one runner sends, by signal; of those that are sent more than once, one that must be among them.
TABLE = {
    "before_task_publish": Moment("caller", TASK, {"body": "tuple", "exchange": "", "routing_key": "celery"}),
    "after_task_publish": Moment("caller", TASK, {"body": "list", "exchange": "", "routing_key": "celery"}),
    "task_sent": Moment("caller", TASK, {"task": TASK, "args": "list", "kwargs": "dict", "taskset": None}),
    "celeryd_init": Moment("main", NODE, {"instance": "SimpleNamespace", "conf": "Settings", "options": "dict"}),
    "import_modules": Moment("main", None, {}),
    "after_setup_logger": Moment("main", None, {"logger": "RootLogger", "loglevel": 20, "logfile": None}),
    "after_setup_task_logger": Moment("main", None, {"logger": "Logger", "loglevel": 20}),
    "worker_init": Moment("main", NODE, {}),
    "celeryd_after_setup": Moment("main", NODE, {"instance": "Worker", "conf": "Settings"}),
    "worker_before_create_process": Moment("main", NODE, {}),
    "worker_process_init": Moment("runner", NODE, {}),
    "worker_ready": Moment("main", NODE, {}),
    "task_received": Moment("runner", NODE, {"request": "ReceivedRequest"}),
    "task_prerun": Moment("runner", TASK, {"task": TASK, "args": "list", "kwargs": "dict"}),
    "task_success": Moment("runner", TASK, {"result": 3, "runtime": "float"}),
    "task_postrun": Moment("runner", TASK, {"task": TASK, "retval": 3, "state": "SUCCESS"}),
    "task_failure": Moment("runner", "project.fail", {"exception": "ValueError", "traceback": "traceback"}),
    "task_retry": Moment("runner", "project.again", {"request": "Request", "reason": "Retry"}),
    "task_revoked": Moment("runner", TASK, {"terminated": False, "signum": None, "expired": True}),
    "task_unknown": Moment("runner", NODE, {"name": "nowhere.task", "exc": "NotRegistered"}),
    "task_rejected": Moment("runner", NODE, {"message": "ReceivedMessage"}),
    "task_internal_error": Moment("runner", "project.unserialisable", {"request": "dict", "args": "list"}),
    "worker_shutting_down": Moment("main", NODE, {"sig": "SIGTERM", "how": "Warm", "exitcode": 0}),
    "worker_process_shutdown": Moment("runner", NODE, {"exitcode": 0}),
    "worker_shutdown": Moment("main", NODE, {}),
}
#: Those of features that are still to come; and the one whose receiver takes the logging over.
ELSEWHERE = {
    "setup_logging", "heartbeat_sent", "beat_init", "beat_embedded_init", "user_preload_options",
    *(name for name in signals.ALL if name.startswith("eventlet_")),
}  # fmt: skip


def test_all_of_celerys_signals_are_there_and_each_says_what_it_is_for():
    assert len(signals.ALL) == 34
    assert set(signals.ALL) == set(TABLE) | ELSEWHERE
    assert all(each.description and each.process for each in signals.ALL.values())
    assert all(signals.ALL[name].process == "none yet" for name in ELSEWHERE - {"setup_logging"})


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_sends_each_signal_where_the_table_says(start_worker, project, notes, pool):
    late = project.add.apply_async((1, 1), expires=timedelta(seconds=-10))
    worker = start_worker("-P", pool, "-c", "1", "-n", NODE).ready()
    results = [
        project.add.delay(1, 2),
        project.fail.delay(),
        project.again.delay(),
        project.unserialisable.delay(),
        late,
    ]
    results.append(project.app.send_task("nowhere.task"))
    project.app.broker.publish([Message("broken", {"task": "project.add", "id": "broken"}, b"no json")])
    results.append(project.app.AsyncResult("broken"))
    for result in results:
        result.get(timeout=PATIENCE, propagate=False)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert any(line.startswith("SAID ") for line in worker.lines), "a receiver of celeryd_init changes settings"

    seen = notes()
    mains, callers = {worker.process.pid}, {os.getpid()}
    for name, moment in TABLE.items():
        sent = [each for each in seen if each["signal"] == name and each["sender"] == moment.sender]
        if name == "import_modules":
            sent = [each for each in seen if each["signal"] == name]
        assert sent, f"{name} was not sent by {moment.sender}"
        for each in sent:
            where = "main" if each["pid"] in mains else "caller" if each["pid"] in callers else "runner"
            assert where == moment.where, name
            assert set(each["given"]) >= set(signals.ALL[name].providing_args), name
        assert any(moment.given.items() <= each["given"].items() for each in sent), (name, sent)
    details = {each["signal"]: each["seen"] for each in seen if "seen" in each and each["sender"] == NODE}
    assert details["task_rejected"] == ["broken", "celery"]
    assert details["task_unknown"] == [results[-2].id, "celery"]
    assert [results[0].id, TASK, [1, 2], "None", f"{TASK}[{results[0].id}]"] in [
        each.get("seen") for each in seen if each["signal"] == "task_received"
    ]
    assert ["blue"] in [each.get("seen") for each in seen if each["signal"] == "task_prerun"], "a header was added"
    assert [late.id] in [each.get("seen") for each in seen if each["signal"] == "task_revoked"]

    order = [each["signal"] for each in seen]
    node = [name for name in TABLE if name.startswith(("celeryd", "worker")) or name == "import_modules"]
    assert [name for name in order if name in node] == node, "each once, in the order of a node's life"
    runs = ["task_prerun", "task_success", "task_postrun"]
    assert [each["signal"] for each in seen if each["signal"] in runs and each["sender"] == TASK] == runs


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_what_happens_to_runners_from_outside_is_told_by_the_main_process(start_worker, project, notes):
    worker = start_worker("-c", "1", "-n", NODE).ready()
    killed = project.stuck.delay()
    killed.get(timeout=PATIENCE, propagate=False)
    assert project.add.delay(1, 2).get(timeout=PATIENCE) == 3
    worker.signal(signal.SIGQUIT)
    assert worker.wait() == 1
    seen = notes()
    (failure,) = [each for each in seen if each["signal"] == "task_failure"]
    assert (failure["pid"], failure["sender"]) == (worker.process.pid, "project.stuck")
    assert (failure["given"]["exception"], failure["given"]["task_id"]) == ("TimeLimitExceeded", killed.id)
    assert [each["signal"] for each in seen].count("worker_before_create_process") == 2
    (stopping,) = [each for each in seen if each["signal"] == "worker_shutting_down"]
    assert stopping["given"] == {"sig": "SIGQUIT", "how": "Cold", "exitcode": 1}
    assert "worker_process_shutdown" not in [each["signal"] for each in seen]


def test_a_queue_that_is_added_after_the_setup_is_received_from(start_worker, project):
    start_worker("-c", "1", "-n", NODE, "-Q", "other").ready()
    assert project.add.apply_async((2, 2), queue=f"{NODE}.own").get(timeout=PATIENCE) == 4


def test_an_eager_call_sends_what_a_run_sends_in_the_callers_process(project, notes):
    project.add.apply((1, 2))
    project.again.apply(throw=False)
    project.fail.apply(throw=False)
    told = [(each["signal"], each["pid"]) for each in notes()]
    expected = [("task_prerun", end, "task_postrun") for end in ("task_success", "task_retry")]
    # again.apply() runs twice: it asks once, and fails when it may not ask any more.
    expected += [("task_prerun", "task_failure", "task_postrun")] * 2
    assert told == [(name, os.getpid()) for run in expected for name in run]


@pytest.mark.parametrize("name", ["import_modules", "setup_logging"])
def test_an_exception_at_the_start_ends_the_worker(tmp_path, start_worker, name):
    source = (tmp_path / "project.py").read_text()
    (tmp_path / "project.py").write_text(
        source + f"\n@signals.{name}.connect\ndef refuse(**_):\n    raise RuntimeError('not on this machine')\n"
    )
    worker = start_worker("-c", "1")
    assert worker.wait() != 0
    assert "not on this machine" in worker.text
    assert " ready." not in worker.text


def test_the_page_says_of_each_signal_what_the_code_says():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "signals.md").read_text(encoding="utf-8")
    for name, each in signals.ALL.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` ")]
        assert all(told in row for told in (each.description, each.process, each.sender)), name
        assert all(f"`{argument}`" in row for argument in each.providing_args), name
