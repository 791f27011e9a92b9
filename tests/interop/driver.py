"""A client at the other end of a pipe: carries out what a line of JSON asks for, and answers with a line of JSON.

Runs on Celery and on tq alike; the environment says which (see ``project.py``).
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import project
from project import app, chain, chord, group

#: Seconds after which a result that does not come is given up.
PATIENCE = 40.0

#: Seconds by which a task may begin before it is due: RabbitMQ knows no less than a millisecond.
CLOCK = 0.01

#: What a message's body is written with, by the word of the tests.
ENCODINGS: dict[str, dict[str, str]] = {
    "json": {"serializer": "json"},
    "pickle": {"serializer": "pickle"},
    "msgpack": {"serializer": "msgpack"},
    "zstd": {"serializer": "json", "compression": "zstd"},
}

#: Arguments by encoding: what only this one can carry, or carries in a way of its own.
VALUES: dict[str, Any] = {
    "json": {
        "text": "hé€\U0001f600",
        "bytes": b"\xff\x00",
        "dec": Decimal("1.50"),
        "id": uuid.UUID(int=5),
        "big": 2**70,
    },
    "pickle": ("a tuple", frozenset({1}), complex(1, 2), datetime(2030, 1, 2, tzinfo=timezone.utc)),
    "msgpack": {"bytes": b"\xff\x00", "text": "hé€", "list": [1, 2.5, None, True]},
    "zstd": ["much of the same"] * 1000,
}


class Cell:
    """What is sent for one cell of the matrix, and later what has come of it.

    Args:
        encoding: a key of :data:`ENCODINGS`.
        queue: where the worker is.
    """

    def __init__(self, encoding: str, queue: str) -> None:
        self.encoding = encoding
        self.options = {**ENCODINGS[encoding], "queue": queue}

    def sig(self, task: Any, *args: Any) -> Any:
        return task.s(*args).set(**self.options)

    def send(self, task: Any, *args: Any, **options: Any) -> Any:
        return task.apply_async(args, **{**self.options, **options})


def got(result: Any) -> Any:
    """Return a result's value, or the name and arguments of what was raised."""
    try:
        return result.get(timeout=PATIENCE)
    except Exception as error:
        return [type(error).__name__, *error.args]


def plain(cell: Cell) -> Any:
    result = cell.send(project.show, VALUES[cell.encoding])
    return lambda: got(result) == repr(VALUES[cell.encoding]) or got(result)


def eta(cell: Cell) -> Any:
    due = time.time() + project.TIMES["ahead"]
    soon = cell.send(project.moment, eta=datetime.fromtimestamp(due, timezone.utc))
    return lambda: [got(soon) >= due - CLOCK, soon.state]


def expires(cell: Cell) -> Any:
    # One that has expired when it is sent need not reach a worker: RabbitMQ drops it.
    due = datetime.now(timezone.utc) + timedelta(seconds=project.TIMES["ahead"])
    late = cell.send(project.moment, eta=due, expires=due - timedelta(seconds=0.2))
    in_time = cell.send(project.add, 1, 2, expires=600)
    return lambda: [got(late), late.state, got(in_time)]


def retry(cell: Cell) -> Any:
    result = cell.send(project.hesitate, 2)
    return lambda: [got(result), result.state]


def failure(cell: Cell) -> Any:
    result = cell.send(project.fail, "no", 3)
    return lambda: [got(result), result.state, "raise ValueError(text, number)" in str(result.traceback)]


def in_chain(cell: Cell) -> Any:
    result = chain(cell.sig(project.add, 1, 2), cell.sig(project.add, 3), cell.sig(project.add, 4)).apply_async()
    return lambda: [got(result), got(result.parent)]


def in_group(cell: Cell) -> Any:
    result = group(cell.sig(project.add, n, n) for n in range(3)).apply_async()
    return lambda: [got(result), result.successful()]


def in_chord(cell: Cell) -> Any:
    result = chord([cell.sig(project.add, n, n) for n in range(4)], cell.sig(project.total)).apply_async()
    return lambda: [got(result), got(result.parent)]


#: What is sent to a worker that is free, by feature. What expires must not wait in the broker behind all the rest,
#: which would drop it then.
CALM = {
    "expires": expires,
    "plain": plain,
    "eta": eta,
    "retry": retry,
    "failure": failure,
    "chain": in_chain,
    "group": in_group,
    "chord": in_chord,
}


def opened(fifo: str) -> int:
    """Return the writing end of a named pipe, once a worker has opened the other end."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def priority(cell: Cell) -> Any:
    """Send in an order that is neither that of urgency nor its reverse."""
    results = {number: cell.send(project.moment, priority=number) for number in (5, 0, 9)}
    return lambda: sorted(results, key=lambda number: got(results[number]))


def revoke(cell: Cell, node: str) -> Any:
    result, other = cell.send(project.add, 1, 2), cell.send(project.add, 3, 4)
    answers = app.control.revoke(result.id, destination=[node], reply=True, timeout=10.0)
    flagged = [answer == {node: {"ok": f"tasks { ({result.id}) } flagged as revoked"}} for answer in answers]
    return lambda: [flagged or answers, got(result), result.state, got(other)]


def matrix(queue: str, node: str, fifo: str, encodings: list[str], features: list[str]) -> dict[str, Any]:
    """Send everything to one worker and return what came of it, by feature and encoding."""
    asked = {}
    for feature, question in CALM.items():
        for encoding in encodings:
            if feature in features:
                asked[f"{feature}-{encoding}"] = _ask(question, Cell(encoding, queue))
    found = {name: _answer(ask) for name, ask in asked.items()}
    # While the worker is held up, messages wait for it.
    held = project.hold.apply_async((fifo,), queue=queue)
    pipe = opened(fifo)
    asked = {}
    for encoding in encodings:
        if "priority" in features:
            asked[f"priority-{encoding}"] = _ask(priority, Cell(encoding, queue))
        asked[f"revoke-{encoding}"] = _ask(revoke, Cell(encoding, queue), node)
    os.close(pipe)
    found |= {name: _answer(ask) for name, ask in asked.items()}
    assert got(held) == "held"
    return found


def _ask(send: Any, *args: Any) -> Any:
    try:
        return send(*args)
    except Exception as error:
        said = f"cannot be sent: {type(error).__name__}: {error}"
        return lambda: said


def _answer(ask: Any) -> Any:
    try:
        return ask()
    except Exception as error:
        return f"no answer: {type(error).__name__}: {error}"


def send(name: str, args: list[Any], options: dict[str, Any]) -> str:
    """Send one call and return its id."""
    return str(getattr(project, name).apply_async(args, **options).id)


def get(task_id: str) -> Any:
    """Wait for a result."""
    return got(app.AsyncResult(task_id))


def state(task_id: str) -> str:
    return str(app.AsyncResult(task_id).state)


def journey(queues: list[str]) -> Any:
    """Send a chain that visits all queues, one after the other."""
    steps = [project.path.s().set(queue=queue) for queue in queues]
    return got(chain(*steps).apply_async())


def meeting(queues: list[str], end: str) -> Any:
    """Send a chord with a part in each queue and the body in another."""
    parts = [project.add.s(n, 1).set(queue=queue) for n, queue in enumerate(queues)]
    return got(chord(parts, project.total.s().set(queue=end)).apply_async())


def broken_meeting(queues: list[str], end: str) -> Any:
    """The same with a part that fails; return the state and what the error says."""
    parts: list[Any] = [project.add.s(n, 1).set(queue=queue) for n, queue in enumerate(queues)]
    parts.append(project.fail.s("no", 3).set(queue=queues[0]))
    result = chord(parts, project.total.s().set(queue=end)).apply_async()
    # By its id alone: with its parents, a client raises what the part has raised, when it is there already.
    body = app.AsyncResult(result.id)
    raised = got(body)
    return [body.state, raised[0], "ValueError" in str(raised[1])]


def saved_group(queue: str) -> Any:
    """Send a group and store which tasks it has."""
    result = group(project.add.s(n, n).set(queue=queue) for n in range(2)).apply_async()
    result.save()
    return got(result)


def ping(nodes: list[str]) -> Any:
    """Ask nodes whether they are there."""
    return sorted(app.control.ping(destination=nodes, timeout=10.0, limit=len(nodes)), key=str)


def ping_matching(pattern: str, matcher: str, limit: int) -> Any:
    """The same with a pattern of their names; the last answer expected ends the wait."""
    return app.control.broadcast("ping", reply=True, timeout=10.0, limit=limit, pattern=pattern, matcher=matcher)


def revoke_at(task_ids: list[str], node: str) -> Any:
    """Revoke tasks, which need not have been sent yet, on one node."""
    return app.control.revoke(task_ids, destination=[node], reply=True, timeout=10.0)


def ask(method: str, arguments: dict[str, Any], nodes: list[str], timeout: float = 10.0) -> Any:
    """Send any request to nodes, and return their answers."""
    return app.control.broadcast(method, arguments, destination=nodes, reply=True, timeout=timeout)


def close(pipe: int) -> None:
    """Let go of what :func:`opened` returned, and so of the task at its other end."""
    os.close(pipe)


for line in sys.stdin:
    word, *arguments = json.loads(line)
    try:
        reply = ["ok", globals()[word](*arguments)]
    except Exception as error:
        reply = ["error", f"{type(error).__name__}: {error}"]
    print(json.dumps(reply), flush=True)
