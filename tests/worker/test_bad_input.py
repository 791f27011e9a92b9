"""Whatever stands in a queue: it is buried with its reason, and the worker goes on."""

from __future__ import annotations

import json
import uuid
import zlib

from tq_core.message import Message

GOOD_BODY = b'[[1, 1], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'


def message(headers=None, body=GOOD_BODY, **fields):
    task_id = str(uuid.uuid4())
    known = {"lang": "py", "task": "project.add", "id": task_id}
    return Message(task_id, {**known, **(headers or {})}, body, **fields)


def nested(depth):
    return b"[[" + b"[" * depth + b"]" * depth + b"], {}, {}]"


BAD = {
    "body that is no JSON": message(body=b"{not json"),
    "empty body": message(body=b""),
    "truncated body": message(body=GOOD_BODY[:-5]),
    "body that is not UTF-8": message(body=b'[["\xff\xfe"], {}, {}]'),
    "body that is no list": message(body=b"42"),
    "body of two parts": message(body=b"[[1, 1], {}]"),
    "arguments that are no list": message(body=b"[42, {}, {}]"),
    "keywords that are no map": message(body=b"[[], [], {}]"),
    "options that are no map": message(body=b"[[], {}, []]"),
    "deeply nested body": message(body=nested(200_000)),
    "unknown content type": message(content_type="application/x-unknown"),
    "pickle that is not accepted": message(content_type="application/x-python-serialize", content_encoding="binary"),
    "unknown task": message({"task": "project.unknown"}),
    "task name that is no text": message({"task": 42}),
    "no task id": message({"id": None}),
    "task id that is no text": message({"id": ["x"]}),
    "retries that are no number": message({"retries": "many"}),
    "negative retries": message({"retries": -1}),
    "limits that are no pair": message({"timelimit": 3}),
    "limits of texts": message({"timelimit": ["a", "b"]}),
    "unparsable eta": message({"eta": "next tuesday"}),
    "eta that is a list": message({"eta": [1]}),
    "unparsable expiry": message({"expires": "soon"}),
    "group index that is a map": message({"group_index": {}}),
    "callbacks that are a number": message(body=b'[[1, 1], {}, {"callbacks": 3}]'),
    "unknown compression": message({"compression": "application/x-rar"}),
    "compressed body that is not": message({"compression": "application/x-gzip"}, body=b"plain"),
    "decompression bomb": message({"compression": "application/x-gzip"}, body=zlib.compress(bytes(200 << 20))),
    "body over the limit": message(body=b'["' + b"x" * (65 << 20) + b'", {}, {}]'),
    "root id that is no text": message({"root_id": 7}),
}


def test_bad_messages_are_buried_with_their_reason_and_good_ones_around_them_run(start_worker, project):
    broker = project.app.broker
    first = project.add.delay(1, 2)
    broker.publish(list(BAD.values()))
    last = project.add.delay(3, 4)
    worker = start_worker("-c", "1").ready()
    assert first.get(timeout=60) == 3
    assert last.get(timeout=60) == 7
    letters = {letter.message.id: letter for letter in broker.dead_letters(limit=1000)}
    missing = [name for name, bad in BAD.items() if bad.id not in letters]
    assert missing == []
    assert all(letter.reason for letter in letters.values())
    assert "Traceback" not in worker.text
    assert max(map(len, worker.lines)) < 2000


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
