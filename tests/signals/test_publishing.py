"""What the signals of a call tell, and what their receivers can change."""

from __future__ import annotations

import uuid
from contextlib import contextmanager

import pytest

from tq_core import Celery, signals
from tq_core.errors import BrokerUnavailable


@pytest.fixture
def app():
    with Celery("proj", broker=f"memory://{uuid.uuid4().hex}", backend="disabled://", set_as_current=False) as app:
        yield app


@pytest.fixture
def add(app):
    return app.task(name="proj.add", typing=False)(lambda x, y=0: x + y)


@contextmanager
def connected(signal, receiver):
    signal.connect(receiver)
    try:
        yield
    finally:
        signal.disconnect(receiver)


@contextmanager
def noted(signal):
    told = []

    def note(signal, **given):
        told.append(given)

    with connected(signal, note):
        yield told


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_after_a_call_is_sent_its_body_and_place_are_told(app, add, protocol, compression):
    app.conf.task_protocol = protocol
    with noted(signals.after_task_publish) as told, noted(signals.task_sent) as sent:
        result = add.apply_async((1,), {"y": 2}, queue="q", compression=compression)
    ((after,), (old,)) = told, sent
    assert (after["sender"], after["exchange"], after["routing_key"]) == ("proj.add", "", "q")
    args, kwargs = (after["body"]["args"], after["body"]["kwargs"]) if protocol == 1 else after["body"][:2]
    assert (list(args), kwargs) == ([1], {"y": 2})
    assert (old["task_id"], old["task"], old["args"], old["kwargs"]) == (result.id, "proj.add", [1], {"y": 2})
    assert (old["eta"], old["taskset"]) == (None, None)


def test_receivers_change_headers_properties_and_arguments_of_a_call(app, add):
    def change(body, headers, properties, **named):
        headers["trace"] = "t-1"
        properties["priority"] = 7
        properties["app_id"] = "mine"
        body[1]["y"] = 5

    with connected(signals.before_task_publish, change):
        add.apply_async((1,), {"y": 2}, queue="q")
    (delivery,) = app.broker.peek("q")
    message = delivery.message
    assert (message.headers["trace"], message.priority, message.properties["app_id"]) == ("t-1", 7, "mine")
    assert app.message_reader()(message).kwargs == {"y": 5}


def test_before_a_call_is_sent_its_whole_place_is_told(app, add):
    app.conf.task_queues = [{"name": "q", "exchange": "news", "exchange_type": "topic", "routing_key": "a.#"}]
    with noted(signals.before_task_publish) as told:
        add.apply_async((1,), queue="q", routing_key="a.b", reply_to="me", retry_policy={"max_retries": 1})
    (before,) = told
    assert (before["exchange"], before["routing_key"]) == ("news", "a.b")
    assert [queue.name for queue in before["declare"]] == ["q"]
    assert before["properties"]["reply_to"] == "me"
    assert before["properties"]["correlation_id"] == before["headers"]["id"]
    assert before["retry_policy"] == {**app.conf.task_publish_retry_policy, "max_retries": 1}
    assert app.conf.task_publish_retry_policy["max_retries"] == 3


def test_a_receiver_decides_how_often_publishing_is_tried(app, add, monkeypatch):
    tries = []

    def refuse(messages):
        tries.append(messages)
        raise BrokerUnavailable("not now")

    def twice(retry_policy, **named):
        retry_policy.update(max_retries=2, interval_start=0, interval_step=0)

    monkeypatch.setattr(app.broker, "publish", refuse)
    with connected(signals.before_task_publish, twice), pytest.raises(BrokerUnavailable):
        add.delay(1)
    assert len(tries) == 3


def test_a_call_that_is_copied_to_several_queues_is_told_once(app, add):
    app.conf.task_queues = [{"name": name, "exchange": "all", "exchange_type": "fanout"} for name in ("a", "b")]
    with noted(signals.before_task_publish) as before, noted(signals.after_task_publish) as after:
        add.apply_async((1,), exchange="all")
    assert [len(before), len(after)] == [1, 1]
    assert [app.broker.depth(name).ready for name in ("a", "b")] == [1, 1]


def test_a_call_that_nobody_listens_to_prepares_nothing(app, add, monkeypatch):
    def never(*args, **named):
        raise AssertionError("somebody was told")

    monkeypatch.setattr("tq_core.encoder.announce_call", never)
    monkeypatch.setattr("tq_core.producer.announce_sent", never)
    add.apply_async((1,), queue="q", priority=3, countdown=1)
    add.delay(1)
