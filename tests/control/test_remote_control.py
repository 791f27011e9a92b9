"""What a worker does when it is asked to, over Redis."""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from redis import Redis

from tests.interop.sides import Driver, WorkerNode
from tq_core import Celery
from tq_core.errors import NotSupported
from tq_core.testing.conformance.patience import until

REVOKED = ["TaskRevokedError", "revoked"]
Start = Callable[..., WorkerNode]


#: Where requests are announced.
CHANNEL = "/0.celery.pidbox"

#: Bodies that are no requests, or ask for what cannot be.
MALFORMED: list[Any] = [
    None,
    [],
    "revoke",
    5,
    {},
    {"method": None},
    {"method": ["revoke"]},
    {"method": "ping", "arguments": [1]},
    {"method": "ping", "destination": 5},
    {"method": "ping", "pattern": "(", "matcher": "pcre"},
    {"method": "ping", "pattern": "*", "matcher": "sql"},
    {"method": "ping", "reply_to": "me"},
    {"method": "ping", "reply_to": {"exchange": 1}},
    {"method": "ping", "ticket": {}},
    {"method": "ping", "arguments": {"self": 1}},
    {"method": "ping", "ticket": "t", "reply_to": {"exchange": "none", "routing_key": "no"}},
    {"method": "\ud800"},
    {"method": "ping", "arguments": {"x": "y" * 100_000}},
]


def envelope(body: bytes, kind: str = "application/json", headers: Any = None) -> bytes:
    properties = {
        "body_encoding": "base64",
        "delivery_tag": "t",
        "delivery_info": {"exchange": "", "routing_key": ""},
    }
    text = base64.b64encode(body).decode()
    fields = {"body": text, "content-type": kind, "content-encoding": "utf-8", "headers": headers or {}}
    return json.dumps({**fields, "properties": properties}).encode()


def test_a_reserved_task_that_is_revoked_does_not_run(client: Driver, start: Start, redis: Redis, fifo: str) -> None:
    start("ahead", worker_prefetch_multiplier=8, worker_reservation_patience=600)
    # Short tasks teach the runner to take messages ahead.
    for task_id in [client("send", "add", [n, 1], {"queue": "ahead"}) for n in range(200)]:
        client("get", task_id)
    held = client("send", "hold", [fifo], {"queue": "ahead"})
    pipe = client("opened", fifo)
    ids = [client("send", "add", [n, 1], {"queue": "ahead"}) for n in range(4)]
    until(lambda: redis.hlen("unacked") == 5, "nothing is reserved")
    (answer,) = client("revoke_at", ids[:2], "ahead@control")
    assert answer["ahead@control"]["ok"].endswith("flagged as revoked")
    client("close", pipe)
    assert client("get", held) == "held"
    assert [client("get", one) for one in ids] == [REVOKED, REVOKED, 3, 4]


def test_a_runner_that_starts_later_knows_what_is_revoked(client: Driver, start: Start) -> None:
    worker, revoked = start("again"), str(uuid.uuid4())
    client("revoke_at", [revoked], "again@control")
    (runner,) = Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children").read_text().split()
    os.kill(int(runner), signal.SIGKILL)
    client("send", "add", [1, 2], {"queue": "again", "task_id": revoked})
    assert client("get", revoked) == REVOKED


def test_a_revoked_task_that_waits_for_its_time_does_not_run_then(client: Driver, start: Start) -> None:
    start("waiting")
    task_id = client("send", "add", [1, 2], {"queue": "waiting", "countdown": 0.5})
    client("revoke_at", [task_id], "waiting@control")
    assert client("get", task_id) == REVOKED


@pytest.mark.parametrize(
    ("method", "arguments", "says"),
    [
        ("pool_grow", {"n": 1}, "does not know 'pool_grow'"),
        ("revoke", {}, "task_id"),
        ("revoke", {"task_id": 5}, "not int"),
        ("revoke", {"task_id": ["a", 5]}, "not list"),
    ],
)
def test_what_cannot_be_done_is_answered(
    client: Driver, start: Start, method: str, arguments: dict[str, Any], says: str
) -> None:
    queue = f"cannot-{uuid.uuid4()}"
    start(queue)
    (answer,) = client("ask", method, arguments, [f"{queue}@control"])
    assert says in answer[f"{queue}@control"]["error"]


def test_malformed_requests_harm_nothing(client: Driver, start: Start, redis: Redis) -> None:
    worker = start("robust")

    for request in MALFORMED:
        redis.publish(CHANNEL, envelope(json.dumps(request).encode()))
    for raw in (
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"{}",
        envelope(b"{", "application/json"),
        envelope(b"\x80\x04.", "application/x-yaml"),
        envelope(b"{}", headers={"clock": "late"}),
    ):
        redis.publish(CHANNEL, raw)
    assert client("ping", ["robust@control"]) == [{"robust@control": {"ok": "pong"}}]
    assert worker.process.poll() is None
    assert "malformed control request" in worker.log


@pytest.mark.parametrize(
    ("dumps", "content_type"),
    [(pickle.dumps, "application/x-python-serialize"), (msgpack.packb, "application/x-msgpack")],
)
def test_requests_are_read_in_every_format_that_is_accepted(
    client: Driver, start: Start, redis: Redis, dumps: Callable[[Any], bytes], content_type: str
) -> None:
    queue, revoked = f"formats-{uuid.uuid4()}", str(uuid.uuid4())
    start(queue)
    redis.publish(CHANNEL, envelope(dumps({"method": "revoke", "arguments": {"task_id": revoked}}), content_type))
    client("ping", [f"{queue}@control"])  # heard after the other
    client("send", "add", [1, 2], {"queue": queue, "task_id": revoked})
    assert client("get", revoked) == REVOKED


def test_a_node_goes_on_listening_after_its_connection_was_cut(client: Driver, start: Start, redis: Redis) -> None:
    worker = start("cut")
    redis.client_kill_filter(_type="pubsub")
    until(lambda: "No remote control for now" in worker.log)
    until(lambda: redis.pubsub_numsub(CHANNEL)[0][1] == 1)
    assert client("ping", ["cut@control"]) == [{"cut@control": {"ok": "pong"}}]


def test_a_node_that_is_told_to_does_not_listen(client: Driver, start: Start, redis: Redis) -> None:
    start("deaf", worker_enable_remote_control=False)
    assert redis.pubsub_numsub(CHANNEL)[0][1] == 0
    assert client("ask", "ping", {}, ["deaf@control"], 0.1) == []


def test_nothing_is_left_behind_by_a_call_for_answers(client: Driver, start: Start, redis: Redis) -> None:
    start("clean")
    client("ping", ["clean@control"])
    assert list(redis.scan_iter("*pidbox*")) == []


def test_a_broker_that_cannot_carry_it_says_so(sqlite_url: str) -> None:
    with Celery(broker=sqlite_url, set_as_current=False) as app, pytest.raises(NotSupported, match="remote control"):
        app.control.revoke("x", reply=True)
