"""Canvases look on the wire as a real Celery's do (``record_golden.py`` recorded them)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tq_core import canvas
from tq_core.app import Celery

HERE = Path(__file__).parent


def _neighbour(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"canvas_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


canvases, normal = _neighbour("canvases"), _neighbour("normal")
SHAPES = json.loads((HERE / "golden/shapes.json").read_text())["shapes"]
MESSAGES = json.loads((HERE / "golden/messages.json").read_text())["messages"]
CALLS = {name: (name, (), {}) for name in canvases.CANVASES} | canvases.CALLS

#: Where tq deliberately differs from what Celery sends.
DIFFERENT = {
    "group_of_group": "members of nested groups are numbered through, so that no two share an index",
    "three_deep": "members of nested groups are numbered through, so that no two share an index",
    "chord_nested_group": "the header keeps its order, so the body gets its values in that order",
    "task_group_task_task": "what follows a chord is in its body, where Celery sends it beside the chord",
    "chord_of_chord": "add_to_parent stays at home",
}


@pytest.fixture
def app() -> Any:
    made = Celery("proj", broker="memory://", backend="cache+memory://", set_as_current=False)
    yield made
    made.close()


def _build(app: Celery, name: str) -> Any:
    tasks = SimpleNamespace(
        add=_task(app, "add"),
        mul=_task(app, "mul"),
        tsum=_task(app, "tsum"),
        boom=_task(app, "boom"),
    )
    return canvases.CANVASES[name](canvas, tasks)


def _task(app: Celery, name: str) -> Any:
    def body(*args: Any, **kwargs: Any) -> Any:
        return None

    return app.task(body, name=f"proj.{name}", typing=False)


def _sent(app: Celery, name: str, args: Any, options: Any) -> Any:
    with app.producer.collecting() as messages:
        result = _build(app, name).apply_async(args, **options)
    sent = [
        {
            "task": message.headers["task"],
            "headers": dict(message.headers),
            "body": json.loads(message.body),
            "queue": message.queue,
        }
        for message in messages
    ]
    return normal.normal_messages(sent, json.loads(json.dumps(result.as_tuple())))


@pytest.mark.parametrize("name", SHAPES)
def test_a_canvas_has_the_json_of_celery(app: Celery, name: str) -> None:
    made = normal.normal_shape(json.loads(json.dumps(_build(app, name))))
    assert made == SHAPES[name]


@pytest.mark.parametrize("name", SHAPES)
def test_a_canvas_survives_json(app: Celery, name: str) -> None:
    text = json.dumps(_build(app, name))
    again = canvas.maybe_signature(json.loads(text), app)
    assert json.loads(json.dumps(again)) == json.loads(text)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_canvas_is_sent_as_celery_sends_it(app: Celery, name: str) -> None:
    if name in DIFFERENT:
        pytest.skip(f"deliberately different: {DIFFERENT[name]}")
    which, args, options = CALLS[name]
    assert _sent(app, which, args, options)["messages"] == MESSAGES[name]["messages"]


def test_no_broker_may_drop_a_call_that_something_waits_for(app: Celery) -> None:
    add, tsum = _task(app, "add"), _task(app, "tsum")
    with app.producer.collecting() as messages:
        add.apply_async((1, 1), expires=5)
        canvas.chord([add.s(1, 1).set(expires=5)], tsum.s()).apply_async()
        canvas.chain(add.s(1, 1), tsum.s()).apply_async(expires=5)
    assert [message.expiration is None for message in messages] == [False, True, True]
    assert all(message.headers["expires"] for message in messages)
