"""Messages and results recorded from Celery 5.7.0 are read, and ours have the same form."""

from __future__ import annotations

import base64
import json
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tq_core import errors
from tq_core.message import Message
from tq_core.protocol import task_v1, task_v2
from tq_core.protocol.exception import describe_exception, rebuild_exception
from tq_core.protocol.inspection import read
from tq_core.protocol.result import from_meta, to_meta
from tq_core.protocol.task import TaskCall, TaskMessage
from tq_core.serializers.registry import SerializerRegistry

GOLDEN = json.loads((Path(__file__).parent / "golden" / "celery-5.7.0.json").read_text())
MESSAGES = GOLDEN["messages"]
WHEN = datetime(2030, 1, 2, 3, 4, 5, 678901, timezone.utc)

registry = SerializerRegistry()
accept = registry.accept(["json", "yaml", "msgpack", "pickle"])


def message(kind: str, name: str) -> Message:
    recorded = MESSAGES[kind][name]
    return Message(
        id=recorded["properties"]["correlation_id"],
        headers=recorded["headers"],
        body=base64.b64decode(recorded["body"]),
        content_type=recorded["content_type"],
        content_encoding=recorded["content_encoding"],
        reply_to=recorded["properties"]["reply_to"],
    )


def received(kind: str, name: str) -> TaskMessage:
    return read(message(kind, name), registry, accept)


@pytest.mark.parametrize("kind", ["v2", "v1", "yaml", "msgpack", "pickle", "gzip", "bzip2", "lzma"])
def test_a_plain_call_is_read_in_every_format(kind: str) -> None:
    task = received(kind, "plain")
    assert (task.id, task.name, list(task.args), task.kwargs) == ("golden-plain", "golden.add", [2, 2], {})
    assert task.correlation_id == "golden-plain"
    assert task.protocol == (1 if kind == "v1" else 2)


def test_every_option_of_a_call_is_read() -> None:
    task = received("v2", "eta_expires")
    assert task.eta == WHEN.timestamp()
    assert task.expires == WHEN.timestamp() + 3600
    assert (task.time_limit, task.soft_time_limit) == (60, 50)
    assert task.kwargs == {"y": 3}
    assert task.shadow == "other"
    assert task.ignore_result is True
    assert task.extra == {"tenant": "blue"}
    assert task.root_id == "golden-eta"
    assert received("v1", "eta_expires").eta == WHEN.timestamp()


def test_what_follows_a_task_is_read() -> None:
    task = received("v2", "callbacks")
    assert task.callbacks is not None
    assert task.errbacks is not None
    assert task.callbacks[0]["args"] == [1]
    assert task.errbacks[0]["immutable"] is True
    chain = received("v2", "chain").chain
    assert chain is not None
    assert [step["args"] for step in chain] == [[4], [3]], "the next task stands last"
    member = received("v2", "group")
    assert member.group
    assert member.group_index == 0
    chord = received("v2", "chord").chord
    assert chord["task"] == "golden.add"


def test_stamps_are_read() -> None:
    task = received("v2", "stamped")
    assert task.stamped_headers is not None
    assert "team" in task.stamped_headers
    assert task.stamps["team"] in ("red", ["red"])


def test_values_json_has_no_form_for_arrive() -> None:
    values = received("v2", "values").args[0]
    assert values == {
        "when": WHEN,
        "day": date(2030, 1, 2),
        "hour": time(3, 4, 5, 678901),
        "dec": Decimal("1.50"),
        "id": UUID(int=5),
        "bytes": b"abc",
        "binary": b"\xff\xfe",
        "nan": float("inf"),
        "text": "hé€\U0001f600",
        "big": 2**70,
        "1": "int key",
    }


@pytest.mark.parametrize("name", ["plain", "eta_expires"])
def test_our_headers_and_body_equal_celerys(name: str) -> None:
    theirs = message("v2", name)
    seen = received("v2", name)
    call = TaskCall(
        name=seen.name,
        id=seen.id,
        args=tuple(seen.args),
        kwargs=seen.kwargs,
        eta=seen.eta,
        expires=seen.expires,
        time_limit=seen.time_limit,
        soft_time_limit=seen.soft_time_limit,
        shadow=seen.shadow,
        origin=seen.origin,
        ignore_result=seen.ignore_result,
        headers=seen.extra,
    )
    headers, body = task_v2.build(call)
    assert headers == theirs.headers
    assert json.loads(registry.encode(body, "json")[2]) == json.loads(theirs.body)
    _, old = task_v1.build(call)
    recorded = json.loads(message("v1", name).body)
    assert {key: item for key, item in json.loads(json.dumps(old)).items() if key in recorded} == recorded


@pytest.mark.parametrize("name", ["success", "failure", "retry", "started"])
def test_result_documents_are_read_and_written_alike(name: str) -> None:
    meta = json.loads(GOLDEN["results"][name])
    record = from_meta(meta)
    assert record.task_id == f"golden-{name}"
    written = to_meta(record)
    assert {**written, "children": written["children"] or None} == meta


@pytest.mark.parametrize("name", sorted(GOLDEN["exceptions"]))
def test_celerys_exceptions_become_ours_and_ours_celerys(name: str) -> None:
    described: dict[str, Any] = GOLDEN["exceptions"][name]
    error = rebuild_exception(described)
    assert type(error) is getattr(errors, name)
    again = describe_exception(error)
    assert (again["exc_type"], again["exc_module"]) == (described["exc_type"], described["exc_module"])
    if name not in ("Ignore",):
        assert again["exc_message"] == described["exc_message"]
