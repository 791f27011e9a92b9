"""The guard at the door: nothing but our own errors, whatever lies in the queue."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.malformed import MALFORMED, SECRET
from tq_core.errors import InvalidTaskError, MessageTooLarge, TQError
from tq_core.message import Message
from tq_core.protocol.inspection import Limits, read
from tq_core.protocol.task import KNOWN_HEADERS, TaskMessage
from tq_core.serializers.registry import SerializerRegistry

registry = SerializerRegistry()
ACCEPT = registry.accept(["json", "msgpack", "yaml"])
HEAD: dict[str, Any] = {"task": "proj.add", "id": "one"}
BODY = b'[[2, 2], {}, {"callbacks": null}]'
V1: dict[str, Any] = {"task": "proj.add", "id": "one"}
#: Fewer bytes than the limit, and more once decompressed.
BOMB = zlib.compress(bytes(200_000))


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


def test_the_table_covers_seventy_kinds() -> None:
    assert len(MALFORMED) >= 70


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_message_is_refused_by_name(kind: str) -> None:
    flaw = MALFORMED[kind]
    with pytest.raises(flaw.error) as caught:
        receive(flaw.head, flaw.body, content_type=flaw.content_type)
    assert len(str(caught.value)) < 600, "one line for the log, without the body"
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    if kind.startswith("header ") and flaw.error is InvalidTaskError:
        assert kind.split()[1] in str(caught.value)


def test_limits_on_size_are_kept() -> None:
    for fields in ({"body": b" " * 2000}, {"head": {**HEAD, "compression": "application/x-gzip"}, "body": BOMB}):
        with pytest.raises(MessageTooLarge):
            receive(limits=Limits(size=1000, unfolded=100_000), **fields)


def test_a_reply_address_of_a_wrong_type_is_refused() -> None:
    with pytest.raises(InvalidTaskError, match="reply_to"):
        receive(reply_to=5)


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
