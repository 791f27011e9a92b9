"""Envelopes: what was written by anybody is read, and what cannot be read is buried and harms nobody."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from tq_core.contracts.broker import Ack, Broker, Bury
from tq_core.message import Message


def envelope(**changes: Any) -> dict[str, Any]:
    """The envelope of a good message, with some of its parts changed."""
    good: dict[str, Any] = {
        "body": base64.b64encode(b"[[], {}, {}]").decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"id": "x", "task": "t"},
        "properties": {
            "correlation_id": "x",
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "q"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "a-tag",
        },
    }
    return {**good, **changes}


def without(*names: str) -> bytes:
    """The envelope of a good message without some of its parts."""
    return json.dumps({name: value for name, value in envelope().items() if name not in names}).encode()


MALFORMED = {
    "nothing": b"",
    "not JSON": b"\xff\xfe",
    "truncated": json.dumps(envelope()).encode()[:-30],
    "a number": b"17",
    "a list": b"[]",
    "null": b"null",
    "no body": without("body"),
    "no properties": without("properties"),
    "body is a number": json.dumps(envelope(body=17)).encode(),
    "headers are a list": json.dumps(envelope(headers=[1])).encode(),
    "bad base64": json.dumps(envelope(body="abc")).encode(),
    "nested without end": b'{"headers": ' + b"[" * 100_000,
    "quotes that end nowhere": b'"delivery_tag": "',
}

READABLE = {
    "NaN in a header": json.dumps(envelope(headers={"id": "x", "n": float("nan")})).encode(),
    "a big integer": json.dumps(envelope(headers={"id": "x", "n": 1 << 100})).encode(),
    "a lone surrogate": json.dumps(envelope(headers={"id": "x", "n": "\ud800"})).encode(),
    "other keys and order": json.dumps({"extra": 1, **dict(reversed(list(envelope().items())))}, indent=1).encode(),
    "a body that is text": json.dumps(envelope(body="[[], {}, {}]", properties={"correlation_id": "x"})).encode(),
    "no headers": without("headers"),
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_handed_over_as_defect_and_can_be_buried(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str, raw: bytes
) -> None:
    broker = open_broker()
    consumer = broker.consumer(["q"], consumer_id="me")
    redis.lpush(prefix + "q", raw, json.dumps(envelope()))
    bad, good = consumer.receive(10, 5.0)
    assert bad.message is None
    assert bad.defect
    assert bad.raw == raw
    assert good.message is not None
    assert list(consumer.settle([Bury(bad.tag, bad.defect), Ack(good.tag)])) == []
    (letter,) = broker.dead_letters(queue="q")
    assert (letter.message, letter.raw) == (None, raw)
    consumer.close()
    assert not redis.exists(prefix + "unacked", prefix + "unacked_index", prefix + "q")


@pytest.mark.parametrize("raw", READABLE.values(), ids=READABLE)
def test_what_the_standard_library_reads_is_read(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str, raw: bytes
) -> None:
    consumer = open_broker().consumer(["q"], consumer_id="me")
    redis.lpush(prefix + "q", raw)
    (delivery,) = consumer.receive(10, 5.0)
    assert delivery.defect is None
    assert delivery.message is not None
    assert (delivery.message.id, bytes(delivery.message.body)) == ("x", b"[[], {}, {}]")
    assert list(consumer.settle([Ack(delivery.tag)])) == []
    consumer.close()


def test_messages_of_one_tag_are_held_and_acked_apart(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str
) -> None:
    broker = open_broker()
    consumer, rival = (broker.consumer(["q"], consumer_id=name) for name in ("me", "you"))
    redis.lpush(prefix + "q", json.dumps(envelope()), json.dumps(envelope()), json.dumps(envelope()))
    first, second = consumer.receive(2, 5.0)
    (third,) = rival.receive(2, 5.0)
    assert list(consumer.settle([Ack(first.tag)])) == []
    assert redis.hlen(prefix + "unacked") == 2
    assert list(consumer.settle([Ack(second.tag)])) == []
    assert list(rival.settle([Ack(third.tag)])) == []
    assert not redis.exists(prefix + "unacked", prefix + "unacked_index")


def test_what_we_write_has_the_form_of_kombus(open_broker: Callable[..., Broker], redis: Redis, prefix: str) -> None:
    message = Message("x", {"id": "x", "n": "\ud800"}, b"\x00", queue="q", routing_key="q", expiration=60.0)
    open_broker().publish([message])
    raw = redis.lrange(prefix + "q", 0, -1)[0]
    written = json.loads(raw)
    assert list(written) == ["body", "content-encoding", "content-type", "headers", "properties"]
    assert base64.b64decode(written["body"]) == b"\x00"
    assert written["headers"] == {"id": "x", "n": "\ud800"}
    properties = written["properties"]
    assert properties.pop("delivery_tag")
    assert properties == {
        "correlation_id": "x",
        "reply_to": "",
        "delivery_mode": 2,
        "expiration": "60000",
        "delivery_info": {"exchange": "", "routing_key": "q"},
        "priority": 0,
        "body_encoding": "base64",
    }
    assert raw.endswith(b'"}}')
