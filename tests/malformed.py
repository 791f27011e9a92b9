"""Malformed task messages of every kind that has ever stopped, stuck or swollen a worker.

One table for all who must stand them: the reader of messages, a worker, and the fault suite, which puts them into
queues behind the producer's back. None of the default parts is at fault, so each kind has one flaw, named by its key.
"""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack

from tq_core.errors import (
    ContentDisallowed,
    DecodeError,
    InvalidMessage,
    InvalidTaskError,
    MessageTooLarge,
    TQError,
)
from tq_core.message import Message

#: Stands in the bodies, and may stand in no log.
SECRET = "body-of-a-stranger"
HEAD: Mapping[str, Any] = {"task": "project.add", "id": "one"}
BODY = f'[["{SECRET}", 2], {{}}, {{"callbacks": null}}]'.encode()


@dataclass(frozen=True, slots=True)
class Malformed:
    """One kind.

    Attributes:
        error: what the reader raises.
        head, body, content_type: parts of the message; most kinds differ from a good one in one of them.
    """

    error: type[TQError]
    head: Any = field(default_factory=lambda: HEAD)
    body: Any = BODY
    content_type: Any = "application/json"

    @property
    def fits_an_envelope(self) -> bool:
        """False where no queue could hold such parts."""
        return isinstance(self.head, dict) and isinstance(self.body, bytes) and isinstance(self.content_type, str)

    def message(self, task_id: str, task: str) -> Message:
        """Return it as a message of its own id for ``task``, where the flaw lies elsewhere."""
        head = {**self.head}
        if head.get("id") == HEAD["id"]:
            head["id"] = task_id
        if head.get("task") == HEAD["task"]:
            head["task"] = task
        return Message(task_id, head, self.body, self.content_type)


def _headers() -> dict[str, Malformed]:
    flaws: list[tuple[str, Any]] = [
        *(("id", value) for value in ("", None, 5, ["one"], {}, "\ud800", "one\nforged: line", "x" * 100_000)),
        *(("task", value) for value in ("", None, 5, ["x"], {"a": 1}, "\udfff")),
        *(("retries", value) for value in ("3", -1, 1.5, True, [], 2**70, float("nan"))),
        *(("timelimit", value) for value in (5, "5", [1], [1, 2, 3], ["1", None], [-1, None], {"hard": 1})),
        *(("timelimit", [value, None]) for value in (float("nan"), float("inf"))),
        *(("eta", value) for value in ("tomorrow", 12345, [], "2026-13-45T99:99:99", "99999-01-01T00:00:00")),
        *(("eta", value) for value in ("2026-01-01T00:00:00+99:99", "9" * 10_000, "٢٠٢٦-01-01")),
        *(("expires", value) for value in ("never", {}, True)),
        *(("group", value) for value in (5, [])),
        *(("group_index", value) for value in ("0", -1)),
        *(("root_id", value) for value in (5, {})),
        *(("parent_id", value) for value in ([],)),
        *(("shadow", value) for value in (5, "add\nforged: line")),
        *(("ignore_result", value) for value in ("yes", [])),
        *(("replaced_task_nesting", value) for value in ("1",)),
        *(("stamped_headers", value) for value in ("team", [1])),
        *(("stamps", value) for value in ("team", 0)),
    ]
    return {
        f"header {name} = {value!r:.30}": Malformed(InvalidTaskError, head={**HEAD, name: value})
        for name, value in flaws
    }


def _bodies() -> dict[str, Malformed]:
    undecodable = (
        b"",
        b"{",
        b"{not json",
        BODY[:-5],
        b"\xff\xfe",
        b'[["\xff\xfe"], {}, {}]',
        b"[" * 100_000,
        b"[[" + b"[" * 600 + b"]" * 600 + b"],{},{}]",
        b"[[" + b"[" * 200_000 + b"]" * 200_000 + b"],{},{}]",
        b'[[{"__type__": "gadget", "__value__": 1}], {}, {}]',
        b"1" * 5000,
    )
    misshapen = (
        *(b"null", b"5", b"42", b'"text"', b"[]", b"[[], {}]", b"[[], {}, {}, {}]", b"[{}, {}, {}]", b"[42, {}, {}]"),
        *(b'["ab", {}, {}]', b"[[], [], {}]", b"[[], null, {}]", b"[[], {}, 5]", b"[[], {}, [1]]"),
        *(b'[[], {}, {"callbacks": 5}]', b'[[], {}, {"callbacks": [5]}]', b'[[], {}, {"errbacks": "x"}]'),
        *(b'[[], {}, {"chain": [{}]}]', b'[[], {}, {"chord": [1]}]'),
    )
    # Their length tells apart those that begin alike.
    return {
        **{f"body {body!r:.40} ({len(body)})": Malformed(DecodeError, body=body) for body in undecodable},
        **{f"body {body!r:.40} ({len(body)})": Malformed(InvalidTaskError, body=body) for body in misshapen},
    }


def _first_protocol() -> dict[str, Malformed]:
    flaws: list[dict[str, Any]] = [
        *({"id": value} for value in (None, 7)),
        {"task": None},
        {"args": "ab"},
        {"kwargs": [1]},
        {"eta": "soon"},
        {"retries": "x"},
        {"utc": "maybe"},
        {"timelimit": 1},
        {"taskset": 1},
    ]
    kinds = {
        f"protocol 1 {flaw!r:.40}": Malformed(InvalidTaskError, head={}, body=json.dumps({**HEAD, **flaw}).encode())
        for flaw in flaws
    }
    hybrid = json.dumps({**HEAD, "args": SECRET}).encode()
    return {
        **kinds,
        "a hybrid of both protocols with wrong arguments": Malformed(InvalidTaskError, body=hybrid),
        "no task header and a list": Malformed(InvalidTaskError, head={}),
        "an empty map": Malformed(InvalidTaskError, head={}, body=b"{}"),
    }


def _envelopes() -> dict[str, Malformed]:
    return {
        "headers are a list": Malformed(InvalidMessage, head=["task"]),
        "headers are a text": Malformed(InvalidMessage, head="task"),
        "the body is text": Malformed(InvalidMessage, body="[]"),
        "the body is null": Malformed(InvalidMessage, body=None),
        "the content type is null": Malformed(InvalidMessage, content_type=None),
        "the content type is empty": Malformed(ContentDisallowed, content_type=""),
        "the content type is unknown": Malformed(ContentDisallowed, content_type="application/x-gadget"),
        "the content type is pickle": Malformed(
            ContentDisallowed, content_type="application/x-python-serialize", body=pickle.dumps([[], {}, {}])
        ),
        "raw bytes": Malformed(InvalidTaskError, content_type="application/data"),
        "msgpack that is JSON": Malformed(TQError, content_type="application/x-msgpack"),
        "msgpack with number keys": Malformed(
            InvalidTaskError, content_type="application/x-msgpack", body=msgpack.packb([[], {1: 2}, {}])
        ),
        "a YAML bomb of aliases inside itself": Malformed(
            TQError, content_type="application/x-yaml", body=b"&a [*a, {}, {}]"
        ),
        "too many headers": Malformed(MessageTooLarge, head={**HEAD, **{f"h{n}": n for n in range(2000)}}),
        "a header that is nested deeply": Malformed(
            DecodeError, head={**HEAD, "mine": json.loads("[" * 600 + "]" * 600)}
        ),
    }


def _compressed() -> dict[str, Malformed]:
    zipped = {**HEAD, "compression": "application/x-gzip"}
    return {
        "compression unknown": Malformed(DecodeError, head={**HEAD, "compression": "application/x-magic"}),
        "compression of a wrong type": Malformed(InvalidMessage, head={**HEAD, "compression": ["gzip"]}),
        "compressed, but is not": Malformed(DecodeError, head=zipped),
        "compressed base64": Malformed(DecodeError, head=zipped, body=b"eJyLjgUAARUAuQ=="),
        "a bomb": Malformed(MessageTooLarge, head=zipped, body=zlib.compress(bytes(200 << 20))),
    }


MALFORMED: Mapping[str, Malformed] = {
    **_headers(),
    **_bodies(),
    **_first_protocol(),
    **_envelopes(),
    **_compressed(),
}


def huge(mebibytes: int) -> Malformed:
    """Return a message with a body of that size, which is no JSON in the end."""
    return Malformed(DecodeError, body=b'[["' + b"x" * (mebibytes << 20))
