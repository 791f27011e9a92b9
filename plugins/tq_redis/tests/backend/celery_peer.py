"""A Celery worker's and client's deeds with results, on request; runs under Celery's own interpreter.

Reads one JSON list a line, ``[word, argument, …]``, and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import celery.canvas
from celery import Celery
from celery.result import GroupResult

app = Celery("peer", broker="memory://", backend=sys.argv[1], set_as_current=True)
app.conf.result_backend_transport_options = {"global_keyprefix": sys.argv[2]}
app.conf.result_expires = 600
bodies: list[Any] = []
celery.canvas.Signature.delay = lambda self, *arguments: bodies.append(arguments)


def get(task_id: str) -> Any:
    try:
        return ["value", app.AsyncResult(task_id).get(timeout=20)]
    except Exception as error:
        return [type(error).__name__, *error.args]


def succeed(task_id: str, value: Any) -> Any:
    app.backend.store_result(task_id, value, "SUCCESS")


def fail(task_id: str, text: str) -> Any:
    app.backend.store_result(task_id, ValueError(text), "FAILURE", traceback="Traceback")


def save_group(group_id: str, *members: str) -> Any:
    GroupResult(group_id, [app.AsyncResult(member) for member in members], app=app).save()


def load_group(group_id: str) -> Any:
    return [member.id for member in GroupResult.restore(group_id, app=app).results]


def open_chord(group_id: str, size: int) -> Any:
    app.backend.set_chord_size(group_id, size)


def part(group_id: str, index: int) -> Any:
    """Finish a member of a chord; returns what bodies were sent with."""
    bodies.clear()
    request = SimpleNamespace(id=f"{group_id}-{index}", group=group_id, group_index=index, chord=app.signature("body"))
    app.backend.on_chord_part_return(request, "SUCCESS", index)
    return bodies


for line in sys.stdin:
    word, *arguments = json.loads(line)
    print(json.dumps(globals()[word](*arguments)), flush=True)
