"""Envelopes no sender would write, for the lists that kombu keeps in Redis.

The flaws of ``malformed.py`` travel in good envelopes; here it is the envelope itself.

Each kind is written anew for every id, so that a test can tell what became of it.
"""

from __future__ import annotations

import base64
import gzip
import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tests.malformed import SECRET

#: Writes one element of a list: the envelope of a message of this id for the task ``project.good``, with a flaw.
Envelope: TypeAlias = Callable[[str], bytes]

#: A body that names no task, and one that every project's ``good`` task takes.
_TEXT = f'[["{SECRET}"], {{}}, {{}}]'
GOOD = b"[[1], {}, {}]"


def parts_of(task_id: str, body: bytes = GOOD) -> dict[str, Any]:
    """Return the envelope of a good message, not yet written."""
    return {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "project.good", "id": task_id},
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": f"tag-of-{task_id}",
        },
    }


def written(parts: Any) -> bytes:
    """Write an envelope as Python does, which knows NaN, numbers of any size and halves of surrogate pairs."""
    return json.dumps(parts).encode()


def _with(**changes: Any) -> Envelope:
    """The envelope with other parts; a name's dashes are written as underscores."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return lambda task_id: written({**parts_of(task_id), **named})


def _without(*names: str) -> Envelope:
    return lambda task_id: written({name: part for name, part in parts_of(task_id).items() if name not in names})


def _properties(**changes: Any) -> Envelope:
    def write(task_id: str) -> bytes:
        parts = parts_of(task_id)
        return written({**parts, "properties": {**parts["properties"], **changes}})

    return write


def _headers(**changes: Any) -> Envelope:
    def write(task_id: str) -> bytes:
        parts = parts_of(task_id)
        return written({**parts, "headers": {**parts["headers"], **changes}})

    return write


def _good(task_id: str) -> bytes:
    return written(parts_of(task_id))


def _bytes(change: Callable[[bytes], bytes]) -> Envelope:
    """The envelope with its bytes changed."""
    return lambda task_id: change(_good(task_id))


def _as_it_is(raw: bytes) -> Envelope:
    return lambda task_id: raw


def _nested(name: str, depth: int) -> Envelope:
    """The envelope with one part nested, and closed again."""

    def write(task_id: str) -> bytes:
        parts = {**parts_of(task_id), name: "deep"}
        return written(parts).replace(b'"deep"', b'{"a":' * depth + b"1" + b"}" * depth)

    return write


#: Python's own JSON refuses to read longer numbers, and so does nearly everybody.
_DIGITS = 5000


#: No message can be read from these: they come out of the queue as defects, with the envelope as it was.
UNREADABLE: Mapping[str, Envelope] = {
    "nothing": _as_it_is(b""),
    "a blank": _as_it_is(b" \t\r\n"),
    "null": _as_it_is(b"null"),
    "true": _as_it_is(b"true"),
    "a number": _as_it_is(b"17"),
    "a number without end": _as_it_is(b"9" * _DIGITS),
    "NaN": _as_it_is(b"NaN"),
    "a text": _as_it_is(b'"text"'),
    "a list": _as_it_is(b"[]"),
    "zeros": _as_it_is(bytes(64)),
    "not UTF-8": _as_it_is(b"\xff\xfe\xfd"),
    "an apostrophe for a quote": _bytes(lambda raw: raw.replace(b'"', b"'")),
    "truncated at once": _bytes(lambda raw: raw[:1]),
    "truncated in the body": _bytes(lambda raw: raw[:20]),
    "truncated in the headers": _bytes(lambda raw: raw[: raw.index(b'"task"') + 9]),
    "truncated before its tag": _bytes(lambda raw: raw[: raw.index(b'"delivery_tag"')]),
    "truncated in its tag": _bytes(lambda raw: raw[:-5]),
    "truncated by a brace": _bytes(lambda raw: raw[:-1]),
    "a brace too many": _bytes(lambda raw: raw + b"}"),
    "twice in one": _bytes(lambda raw: raw + raw),
    "a comma too many": _bytes(lambda raw: raw[:-1] + b",}"),
    "a comment inside": _bytes(lambda raw: b"/* */" + raw),
    "a raw line feed in a text": _bytes(lambda raw: raw.replace(b"project.good", b"project\n.good")),
    "half of a character": _bytes(lambda raw: raw.replace(b"project.good", b"project\xc3")),
    "a text that holds the envelope": _bytes(lambda raw: json.dumps(raw.decode()).encode()),
    "as kombu notes what is held": _bytes(lambda raw: b"[" + raw + b', "", "celery"]'),
    "several in a list": _bytes(lambda raw: b"[" + raw + b"," + raw + b"]"),
    "zipped": _bytes(lambda raw: gzip.compress(raw, mtime=0)),
    "pickled": lambda task_id: pickle.dumps(parts_of(task_id)),
    "a page of HTML": _as_it_is(b"<html><body>502 Bad Gateway</body></html>"),
    "a command of Redis'": _as_it_is(b"*1\r\n$8\r\nFLUSHALL\r\n"),
    "quotes that end nowhere": _as_it_is(b'{"properties": {"delivery_tag": "'),
    "brackets without end": _as_it_is(b"[" * 100_000),
    "braces without end": _as_it_is(b'{"headers":' * 100_000),
    "headers nested deeply": _nested("headers", 100_000),
    "properties nested deeply": _nested("properties", 100_000),
    "no body": _without("body"),
    "a body that is null": _with(body=None),
    "a body that is a number": _with(body=17),
    "a body that is a list": _with(body=[[1], {}, {}]),
    "a body that is an object": _with(body={"args": [SECRET]}),
    "base64 that lacks its end": _with(body="abc"),
    "base64 of one letter": _with(body="a"),
    "base64 in other letters": _with(body="é" * 8),
    "no properties": _without("properties"),
    "properties that are null": _with(properties=None),
    "properties that are a list": _with(properties=["priority", 0]),
    "properties that are a text": _with(properties=SECRET),
    "headers that are a list": _with(headers=["task", "project.good"]),
    "headers that are a text": _with(headers="project.good"),
    "headers that are a number": _with(headers=17),
    "a content type that is a number": _with(content_type=17),
    "a content type that is a list": _with(content_type=["application/json"]),
    "a content encoding that is a number": _with(content_encoding=8),
    "a correlation id that is a number": _properties(correlation_id=5),
    "a correlation id that is a list": _properties(correlation_id=["x"]),
    "a reply address that is a number": _properties(reply_to=5),
    "a priority in words": _properties(priority="high"),
    "a priority that is true": _properties(priority=True),
    "a priority that is no number": _properties(priority=float("nan")),
    "a priority that is a half": _properties(priority=0.5),
    "a priority that is a list": _properties(priority=[]),
    "a delivery mode in words": _properties(delivery_mode="persistent"),
    "a number without end in a property": _bytes(
        lambda raw: raw.replace(b'"priority": 0', b'"priority": ' + b"9" * _DIGITS)
    ),
}

#: A message can be read, and is refused by who has to run it.
REFUSED: Mapping[str, Envelope] = {
    "no headers": _without("headers"),
    "headers that are null": _with(headers=None),
    "no content type": _without("content-type"),
    "a content type of control characters": _with(content_type="text/\x1b[2J\nforged: line"),
    "a content type without end": _with(content_type="x" * 100_000),
    "an unknown body encoding": _properties(body_encoding="rot13"),
    "a body encoding that is a number": _properties(body_encoding=64),
    "no body encoding": _properties(body_encoding=None),
    "base64 of nothing": _with(body=""),
    "base64 of base64": lambda task_id: written(parts_of(task_id, base64.b64encode(GOOD))),
    "no base64 letters": _with(body="!?" * 20),
    "a body of another protocol in headers of this": lambda task_id: written(
        parts_of(task_id, json.dumps({"task": "project.good", "id": task_id, "args": SECRET}).encode())
    ),
    "half a surrogate pair as id": _headers(id="\ud800"),
    "half a surrogate pair as task": _headers(task="\udfff"),
    "no number as the count of retries": _headers(retries=float("nan")),
    "an unknown task of control characters": _headers(task="x\x1b[31m\nforged: line"),
    "a bomb of brackets in the body": lambda task_id: written(parts_of(task_id, b"[" * 100_000)),
    "headers nested more deeply than is allowed": _headers(mine=json.loads("[" * 600 + "]" * 600)),
}

#: Everything that is to be buried.
BAD: Mapping[str, Envelope] = {**UNREADABLE, **REFUSED}

#: Strange, and no reason to refuse them: what is asked of the worker is to live.
ODD: Mapping[str, Envelope] = {
    "in UTF-16": _bytes(lambda raw: raw.decode().encode("utf-16")),
    "with a byte order mark": _bytes(lambda raw: b"\xef\xbb\xbf" + raw),
    "blanks around it": _bytes(lambda raw: b"\n " + raw + b" \n"),
    "with a body of text": lambda task_id: written(
        {**parts_of(task_id), "body": GOOD.decode(), "properties": {"correlation_id": task_id}}
    ),
    "every key twice": _bytes(lambda raw: raw[:-1] + b", " + raw[1:]),
    "a thousand keys more": lambda task_id: written({**{f"k{n}": n for n in range(1000)}, **parts_of(task_id)}),
    "properties that are empty": lambda task_id: written(
        {**parts_of(task_id), "body": GOOD.decode(), "properties": {}}
    ),
    "no delivery tag": lambda task_id: written(
        {**parts_of(task_id), "properties": {"correlation_id": task_id, "body_encoding": "base64"}}
    ),
    "a delivery tag that is null": _properties(delivery_tag=None),
    "a delivery tag that is a number": _properties(delivery_tag=17),
    "a delivery tag that is a list": _properties(delivery_tag=["x"]),
    "a delivery tag that is empty": _properties(delivery_tag=""),
    "a delivery tag that others have": _properties(delivery_tag="the same"),
    "a delivery tag that others have, too": _properties(delivery_tag="the same"),
    "a delivery tag of tq's own": _properties(delivery_tag="tq-1-1"),
    "a delivery tag from the end of time": _properties(delivery_tag="tq1-" + "f" * 90 + "-0-1"),
    "a delivery tag of control characters": _properties(delivery_tag='a\n\x1b[31m"b:c'),
    "a delivery tag of a million letters": _properties(delivery_tag="t" * 1_000_000),
    "the lowest priority": _properties(priority=-(10**30)),
    "the highest priority": _properties(priority=10**30),
    "an expiration in words": _properties(expiration="soon"),
    "an expiration that is a list": _properties(expiration=[1]),
    "an expiration at no time": _properties(expiration=float("nan")),
    "an expiration at the end of time": _properties(expiration=float("inf")),
    "delivery information that is a number": _properties(delivery_info=17),
    "half a surrogate pair as correlation id": _properties(correlation_id="\ud800"),
    "half a surrogate pair in a header": _headers(mine="\ud800"),
    "NaN in a header": _headers(mine=float("nan")),
    "a large number in a header": _headers(mine=2**70),
    "a mark of redelivery in words": _headers(redelivered="yes"),
    "an unknown content encoding": _with(content_encoding="utf-99"),
    "due in the year 9999": _headers(eta="9999-12-31T23:59:59+00:00"),
    "expired in the year 1": _headers(expires="0001-01-01T00:00:00"),
    "a limit of no time": _headers(timelimit=[None, 0]),
    "an id of 150 letters": _headers(id="x" * 150),
}
