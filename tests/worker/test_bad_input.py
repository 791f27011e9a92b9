"""Messages that are unusual and fit to run, now or after somebody has mended them.

What is malformed is in ``tests/faults/malforming.py``.
"""

from __future__ import annotations

import json
import uuid

from tq_core.message import Message

GOOD_BODY = b'[[1, 1], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'


def message(headers=None, body=GOOD_BODY, **fields):
    task_id = str(uuid.uuid4())
    known = {"lang": "py", "task": "project.add", "id": task_id}
    return Message(task_id, {**known, **(headers or {})}, body, **fields)


def test_a_buried_message_can_be_replayed_once_its_task_exists(start_worker, project):
    result = project.app.send_task("project.added_later", (1, 1))
    start_worker("-c", "1").ready()
    # One slot settles in order: after this result the message before it has its ending.
    assert project.add.delay(1, 1).get(timeout=30) == 2
    (letter,) = project.app.broker.dead_letters()
    assert letter.reason.startswith("unknown task")
    # The same message under a name the worker knows, as an operator would mend it.
    headers = {**letter.message.headers, "task": "project.add"}
    mended = Message(letter.message.id, headers, letter.message.body)
    project.app.broker.drop_dead([letter.letter_id])
    project.app.broker.bury("celery", mended, "waits for its task")
    (letter,) = project.app.broker.dead_letters()
    # Forgotten first: the worker may be quicker than this test.
    result.forget()
    assert project.app.broker.exhume([letter.letter_id]) == 1
    assert result.get(timeout=30) == 2


def test_headers_may_be_as_few_as_celery_accepts(start_worker, project):
    sent = message(body=json.dumps([[20, 22], {}, {}]).encode())
    project.app.broker.publish([sent])
    start_worker("-c", "1")
    assert project.app.AsyncResult(sent.id).get(timeout=30) == 42
