"""The guard at the door: nothing but our own errors, whatever lies in the queue."""

from __future__ import annotations

import json
import pickle
import zlib
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tq_core.errors import (
    ContentDisallowed,
    DecodeError,
    InvalidMessage,
    InvalidTaskError,
    MessageTooLarge,
    TQError,
)
from tq_core.message import Message
from tq_core.protocol.inspection import Limits, read
from tq_core.protocol.task import KNOWN_HEADERS, TaskMessage
from tq_core.serializers.registry import SerializerRegistry

registry = SerializerRegistry()
ACCEPT = registry.accept(["json", "msgpack", "yaml"])
HEAD: dict[str, Any] = {"task": "proj.add", "id": "one"}
BODY = b'[[2, 2], {}, {"callbacks": null}]'
V1: dict[str, Any] = {"task": "proj.add", "id": "one"}


def receive(head: Any = HEAD, body: Any = BODY, limits: Limits | None = None, **fields: Any) -> TaskMessage:
    message = Message(**{"id": "one", "headers": head, "body": body, **fields})
    return read(message, registry, ACCEPT, limits or Limits())


def test_the_minimal_message_is_enough() -> None:
    task = receive({"task": "t", "id": "i"}, b"[[], {}, null]")
    assert (task.name, task.id, task.root_id, task.retries, task.eta) == ("t", "i", "i", 0, None)


def test_null_in_every_optional_header_is_like_absence() -> None:
    names = "shadow eta expires group group_index retries timelimit root_id parent_id argsrepr kwargsrepr origin"
    more = "ignore_result replaced_task_nesting stamped_headers stamps compression"
    task = receive({**HEAD, **dict.fromkeys(f"{names} {more}".split())})
    assert task._replace(headers={}) == receive()._replace(headers={})


def test_texts_for_the_log_only_never_spoil_a_message() -> None:
    task = receive({**HEAD, "argsrepr": 5, "kwargsrepr": ["x"], "origin": {}, "lang": 7})
    assert (task.argsrepr, task.kwargsrepr, task.origin) == (None, None, "")


def test_protocol_1_and_the_hybrid_are_told_apart() -> None:
    old = receive({}, json.dumps({**V1, "args": [1], "taskset": "g", "utc": True}).encode())
    assert (old.protocol, old.args, old.group, old.kwargs) == (1, [1], "g", {})
    hybrid = receive({"task": "proj.new", "id": "two"}, json.dumps({**V1, "args": [1]}).encode())
    assert (hybrid.protocol, hybrid.name, hybrid.id, hybrid.args) == (1, "proj.new", "two", [1])


MALFORMED: dict[str, tuple[type[TQError], dict[str, Any]]] = {
    **{
        f"header {name} = {value!r:.30}": (InvalidTaskError, {"head": {**HEAD, name: value}})
        for name, value in [
            ("id", ""),
            ("id", None),
            ("id", 5),
            ("id", ["one"]),
            ("id", {}),
            ("id", "\ud800"),
            ("task", ""),
            ("task", None),
            ("task", 5),
            ("task", ["x"]),
            ("task", {"a": 1}),
            ("task", "\udfff"),
            ("retries", "3"),
            ("retries", -1),
            ("retries", 1.5),
            ("retries", True),
            ("retries", []),
            ("retries", 2**70),
            ("retries", float("nan")),
            ("timelimit", 5),
            ("timelimit", "5"),
            ("timelimit", [1]),
            ("timelimit", [1, 2, 3]),
            ("timelimit", ["1", None]),
            ("timelimit", [-1, None]),
            ("timelimit", [float("nan"), None]),
            ("timelimit", [float("inf"), None]),
            ("timelimit", {"hard": 1}),
            ("eta", "tomorrow"),
            ("eta", 12345),
            ("eta", []),
            ("eta", "2026-13-45T99:99:99"),
            ("eta", "99999-01-01T00:00:00"),
            ("eta", "2026-01-01T00:00:00+99:99"),
            ("eta", "9" * 10_000),
            ("eta", "٢٠٢٦-01-01"),
            ("expires", "never"),
            ("expires", {}),
            ("expires", True),
            ("group", 5),
            ("group", []),
            ("group_index", "0"),
            ("group_index", -1),
            ("root_id", 5),
            ("root_id", {}),
            ("parent_id", []),
            ("shadow", 5),
            ("ignore_result", "yes"),
            ("ignore_result", []),
            ("replaced_task_nesting", "1"),
            ("stamped_headers", "team"),
            ("stamped_headers", [1]),
            ("stamps", "team"),
            ("stamps", []),
            ("stamps", 0),
        ]
        if not (name == "stamps" and value == [])
    },
    **{
        f"body {body!r:.40}": (expected, {"body": body})
        for body, expected in [
            (b"", DecodeError),
            (b"{", DecodeError),
            (b"\xff\xfe", DecodeError),
            (b"[" * 100_000, DecodeError),
            (b"[[" + b"[" * 600 + b"]" * 600 + b"],{},{}]", DecodeError),
            (b'[[{"__type__": "gadget", "__value__": 1}], {}, {}]', DecodeError),
            (b"1" * 5000, DecodeError),
            (b"null", InvalidTaskError),
            (b"5", InvalidTaskError),
            (b'"text"', InvalidTaskError),
            (b"[]", InvalidTaskError),
            (b"[[], {}]", InvalidTaskError),
            (b"[[], {}, {}, {}]", InvalidTaskError),
            (b"[{}, {}, {}]", InvalidTaskError),
            (b'["ab", {}, {}]', InvalidTaskError),
            (b"[[], [], {}]", InvalidTaskError),
            (b"[[], null, {}]", InvalidTaskError),
            (b"[[], {}, 5]", InvalidTaskError),
            (b"[[], {}, [1]]", InvalidTaskError),
            (b'[[], {}, {"callbacks": 5}]', InvalidTaskError),
            (b'[[], {}, {"callbacks": [5]}]', InvalidTaskError),
            (b'[[], {}, {"errbacks": "x"}]', InvalidTaskError),
            (b'[[], {}, {"chain": [{}]}]', InvalidTaskError),
            (b'[[], {}, {"chord": [1]}]', InvalidTaskError),
        ]
    },
    **{
        f"protocol 1 {fields!r:.40}": (
            InvalidTaskError,
            {"head": {}, "body": json.dumps({**V1, **fields}).encode()},
        )
        for fields in [
            {"id": None},
            {"task": None},
            {"id": 7},
            {"args": "ab"},
            {"kwargs": [1]},
            {"eta": "soon"},
            {"retries": "x"},
            {"utc": "maybe"},
            {"timelimit": 1},
            {"taskset": 1},
        ]
    },
    "no task header and a list": (InvalidTaskError, {"head": {}}),
    "an empty map": (InvalidTaskError, {"head": {}, "body": b"{}"}),
    "headers are a list": (InvalidMessage, {"head": ["task"]}),
    "headers are a text": (InvalidMessage, {"head": "task"}),
    "the body is text": (InvalidMessage, {"body": "[]"}),
    "the body is null": (InvalidMessage, {"body": None}),
    "the content type is null": (InvalidMessage, {"content_type": None}),
    "the content type is unknown": (ContentDisallowed, {"content_type": "application/x-gadget"}),
    "the content type is pickle": (
        ContentDisallowed,
        {"content_type": "application/x-python-serialize", "body": pickle.dumps([[], {}, {}])},
    ),
    "raw bytes": (InvalidTaskError, {"content_type": "application/data"}),
    "msgpack that is JSON": (TQError, {"content_type": "application/x-msgpack"}),
    "msgpack with number keys": (
        InvalidTaskError,
        {"content_type": "application/x-msgpack", "body": msgpack.packb([[], {1: 2}, {}])},
    ),
    "compression unknown": (DecodeError, {"head": {**HEAD, "compression": "application/x-magic"}}),
    "compression of a wrong type": (InvalidMessage, {"head": {**HEAD, "compression": ["gzip"]}}),
    "compressed, but is not": (DecodeError, {"head": {**HEAD, "compression": "application/x-gzip"}}),
    "a bomb": (
        MessageTooLarge,
        {
            "head": {**HEAD, "compression": "application/x-gzip"},
            "body": zlib.compress(bytes(4 << 20)),
            "limits": Limits(unfolded=1 << 20),
        },
    ),
    "too large": (MessageTooLarge, {"body": b" " * 2000, "limits": Limits(size=1000)}),
    "too many headers": (MessageTooLarge, {"head": {**HEAD, **{f"h{n}": n for n in range(2000)}}}),
    "reply_to of a wrong type": (InvalidTaskError, {"reply_to": 5}),
    "a YAML bomb of aliases inside itself": (
        TQError,
        {"content_type": "application/x-yaml", "body": b"&a [*a, {}, {}]"},
    ),
}


def test_the_table_covers_seventy_kinds() -> None:
    assert len(MALFORMED) >= 70


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_message_is_refused_by_name(kind: str) -> None:
    expected, fields = MALFORMED[kind]
    with pytest.raises(expected) as caught:
        receive(**fields)
    assert len(str(caught.value)) < 600, "one line for the log, without the body"
    assert "\n" not in str(caught.value)
    if kind.startswith("header ") and expected is InvalidTaskError:
        assert kind.split()[1] in str(caught.value)


wild: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=5), parts, max_size=4),
    max_leaves=8,
)
header_names = st.sampled_from([*sorted(KNOWN_HEADERS), "utc", "taskset", "args"])
heads = st.dictionaries(header_names, wild) | st.dictionaries(header_names, wild).map(lambda d: {**HEAD, **d})
maps = st.dictionaries(header_names | st.sampled_from(["callbacks", "chain", "chord", "errbacks"]), wild)
bodies = st.binary() | (wild | st.lists(wild | maps, min_size=3, max_size=3) | maps).map(
    lambda value: json.dumps(value).encode()
)
types = st.sampled_from(
    ["application/json", "application/x-msgpack", "application/x-yaml", "application/data", "", "x"]
)


@settings(max_examples=600, deadline=None)
@given(heads | wild, bodies | wild, types | wild, wild)
def test_nothing_but_our_errors_leaves_it(head: Any, body: Any, content_type: Any, reply_to: Any) -> None:
    task = error = None
    try:
        task = receive(head, body, content_type=content_type, reply_to=reply_to)
    except TQError as caught:
        error = caught
    assert error is None or "please report" not in str(error), "the last line of defence is not the first"
    if task is not None:
        assert isinstance(task.id, str)
        assert isinstance(task.kwargs, dict)
        assert isinstance(task.retries, int)
