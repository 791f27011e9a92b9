"""A call of few options takes a short way through the producer; what it sends is what the long way sends."""

from __future__ import annotations

import json

import pytest

from tq_core import Celery, signals

CALLS = {
    "arguments": {"args": (1, "two", [3.0, None])},
    "keywords": {"args": [], "kwargs": {"x": {"y": [1]}}},
    "an id": {"args": (1,), "task_id": "my-own"},
    "a member of a group": {"args": (1,), "group_id": "g", "group_index": 3, "root_id": "r", "parent_id": "p"},
    "a root alone": {"args": (1,), "root_id": "r"},
}


@pytest.fixture
def app(request):
    with Celery("proj", broker=f"memory://{request.node.name}", backend="disabled://") as app:
        yield app


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("options", [{}, {"queue": "other"}], ids=["default queue", "queue of its own"])
def test_both_ways_send_the_same(app, call, options):
    @app.task(name="proj.task", typing=False, **options)
    def task(*args, **kwargs):
        pass

    def sent():
        with app.producer.collecting() as messages:
            task.apply_async(**{"task_id": "fixed", **call})
        return list(messages)

    def listener(**_):
        pass

    short = sent()
    signals.before_task_publish.connect(listener)  # whoever listens may change anything: that is the long way
    try:
        long = sent()
    finally:
        signals.before_task_publish.disconnect(listener)
    assert short == long
    assert [list(message.headers) for message in short] == [list(message.headers) for message in long]
    assert [json.loads(message.body) for message in short] == [json.loads(message.body) for message in long]


def test_many_calls_at_once_send_what_as_many_single_calls_do(app):
    @app.task(name="proj.task", typing=False)
    def task(*args, **kwargs):
        pass

    def level(messages):
        return [
            {**dict(message.headers), "id": "", "root_id": "", "body": json.loads(message.body), "to": message.queue}
            for message in messages
        ]

    with app.producer.collecting() as singly:
        task.delay(1, "two")
        task.delay(x=[3])
    singly = level(singly)
    with app.producer.collecting() as together:
        task.apply_many([(1, "two"), {"x": [3]}])
    assert level(together) == singly
    assert all(message.headers["id"] == message.headers["root_id"] == message.id for message in together)


def test_another_name_for_monitors_is_kept(app):
    class Named(app.Task):
        def shadow_name(self, args, kwargs, options):
            return f"task of {args[0]}"

    @app.task(base=Named)
    def task(x):
        pass

    with app.producer.collecting() as messages:
        task.delay(7)
    assert messages[0].headers["shadow"] == "task of 7"


def test_two_calls_share_nothing_that_can_be_changed(app):
    @app.task
    def task(x):
        pass

    with app.producer.collecting() as messages:
        task.delay(1)
        task.delay(2)
    first, second = (message.headers for message in messages)
    first["timelimit"][0], first["stamps"]["x"] = 5, 1
    assert (second["timelimit"], second["stamps"]) == ([None, None], {})
