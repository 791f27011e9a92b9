"""Work-flows of any shape come to what they say, whichever way they travel."""

from __future__ import annotations

import importlib.util
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.nodes import PATIENCE
from tests.private_servers import private_redis
from tq_core import Celery
from tq_core.canvas import maybe_signature
from tq_core.testing.worker import start_worker

_spec = importlib.util.spec_from_file_location("random_flows", Path(__file__).with_name("random_flows.py"))
assert _spec is not None
assert _spec.loader is not None
flows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(flows)

#: More while looking for faults: TQ_FLOWS=1000.
EXAMPLES = int(os.environ.get("TQ_FLOWS", "0"))


def _examples(count: int) -> Any:
    return settings(
        max_examples=EXAMPLES or count,
        derandomize=bool(os.environ.get("CI")),
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


def _application(url: str) -> Celery:
    app = Celery("random-flows", broker=url, backend=url, set_as_current=False)

    @app.task(name="say")
    def say(value: Any = None, *, label: str) -> str:
        return str(flows.said(label, value))

    return app


@pytest.fixture(scope="module", params=["memory", "sqlite", "redis"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celery]:
    """An application whose tasks are run."""
    with ExitStack() as stack:
        url = f"memory://flows-{uuid.uuid4().hex}"
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('flows') / 'queue.db'}"
        elif request.param == "redis":
            url = stack.enter_context(private_redis()).url
        app = _application(url)
        stack.callback(app.close)
        stack.enter_context(start_worker(app, concurrency=3))
        yield app


@pytest.mark.parametrize("interop", ["celery-5.6", "none"])
@_examples(30)
@given(tree=flows.TREES)
@example(  # a chord whose body is a chord, in a header that is sent by a worker
    flows.Chord(
        [flows.Call("a"), flows.Chord([flows.Call("b")], flows.Chord([flows.Call("c")], flows.Call("d")))],
        flows.Call("e"),
    )
)
def test_a_work_flow_of_any_shape_comes_to_what_it_says(running: Celery, interop: str, tree: Any) -> None:
    running.conf.interop = interop
    tree = flows.Chain([flows.Call("first"), tree, flows.Call("last")])
    canvas = flows.canvas_of(tree, running.tasks["say"])
    assert canvas.apply_async().get(timeout=PATIENCE) == flows.evaluated(tree, None)


@_examples(100)
@given(tree=flows.TREES)
def test_an_eager_work_flow_comes_to_the_same(tree: Any) -> None:
    app = _application("memory://")
    tree = flows.Chain([flows.Call("first"), tree, flows.Call("last")])
    assert flows.canvas_of(tree, app.tasks["say"]).apply().get() == flows.evaluated(tree, None)


@_examples(200)
@given(tree=flows.TREES)
@example(tree=flows.Chain([flows.Call("a"), flows.Group([flows.Chain([flows.Call("b")])])]))
def test_a_work_flow_survives_every_serializer(tree: Any) -> None:
    app = _application("memory://")
    canvas = flows.canvas_of(tree, app.tasks["say"])
    canvas.freeze()
    text = json.dumps(canvas, sort_keys=True)
    for name in ("json", "yaml", "msgpack", "pickle"):
        serializer = app.serializers.get(name)
        again = maybe_signature(serializer.loads(serializer.dumps(canvas)), app)
        assert json.dumps(again, sort_keys=True) == text, name
