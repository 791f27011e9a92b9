"""Results, groups and chords shared with real Celery, old and new, each installed in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.celery_environments import VERSIONS, celery_python
from tq_core.contracts.backend import Backend, ChordPart, ResultRecord
from tq_core.states import FAILURE, SUCCESS
from tq_core.testing.conformance.patience import Thread

pytestmark = pytest.mark.real_celery

Peer = Callable[..., Any]


@pytest.fixture(scope="module", params=VERSIONS)
def python(request: pytest.FixtureRequest) -> Path:
    """The interpreter that has a version of Celery."""
    return celery_python(request.param)


@pytest.fixture
def celery(python: Path, prefix: str, require_service: Callable[[str], str]) -> Iterator[Peer]:
    """Has Celery do something, and returns what comes of it."""
    program = Path(__file__).with_name("celery_peer.py")
    with subprocess.Popen(
        [python, program, require_service("redis"), prefix], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told, says = process.stdin, process.stdout

        def do(*request: Any) -> Any:
            told.write(json.dumps(request) + "\n")
            told.flush()
            return json.loads(says.readline())

        yield do
        told.close()


@pytest.fixture
def tq(open_backend: Callable[..., Backend]) -> Backend:
    return open_backend()


def part(index: int) -> ChordPart:
    return ChordPart("c", index, f"c-{index}", SUCCESS, index)


def test_celery_waits_for_results_of_ours(celery: Peer, tq: Backend) -> None:
    waiting = Thread(lambda: celery("get", "good"))
    tq.store([ResultRecord("good", SUCCESS, {"n": [1, None]})])
    assert waiting.result() == ["value", {"n": [1, None]}]
    bad = {"exc_type": "KeyError", "exc_message": ["k"], "exc_module": "builtins"}
    tq.store([ResultRecord("bad", FAILURE, bad, "Traceback")])
    assert celery("get", "bad") == ["KeyError", "k"]


def test_we_wait_for_results_of_celery(celery: Peer, tq: Backend) -> None:
    waiting = Thread(lambda: list(tq.watch(["good", "bad"], timeout=20)))
    celery("succeed", "good", 42)
    celery("fail", "bad", "no")
    good, bad = sorted(waiting.result(), key=lambda record: record.state, reverse=True)
    assert (good.task_id, good.result) == ("good", 42)
    assert (bad.task_id, bad.result["exc_type"], bad.result["exc_message"]) == ("bad", "ValueError", ["no"])


def test_neither_overwrites_a_success_of_the_other(celery: Peer, tq: Backend) -> None:
    tq.store([ResultRecord("ours", SUCCESS, 1)])
    celery("fail", "ours", "late")
    celery("succeed", "theirs", 2)
    tq.store([ResultRecord("theirs", FAILURE, {})])
    assert [record.result for record in tq.fetch(["ours", "theirs"]).values()] == [1, 2]


def test_groups_are_shared(celery: Peer, tq: Backend) -> None:
    tq.save_group("ours", [["ours", None], [[["a", None], None], [["b", None], None]]])
    assert celery("load_group", "ours") == ["a", "b"]
    celery("save_group", "theirs", "a", "b")
    assert tq.load_group("theirs") == [["theirs", None], [[["a", None], None], [["b", None], None]]]


def test_a_chord_that_celery_opened_is_finished_by_us(celery: Peer, tq: Backend) -> None:
    celery("open_chord", "c", 3)
    assert celery("part", "c", 0) == []
    assert tq.add_chord_parts([part(1)], claimant="us", lease=30) == []
    assert tq.add_chord_parts([part(2)], claimant="us", lease=30) == ["c"]
    assert [p.result for p in tq.chord_parts("c")] == [0, 1, 2]
    tq.close_chord("c")
    assert celery("part", "c", 1) == []


def test_a_chord_that_we_opened_is_finished_by_celery(celery: Peer, tq: Backend) -> None:
    tq.open_chord("c", 3)
    assert tq.add_chord_parts([part(1), part(0)], claimant="us", lease=30) == []
    assert celery("part", "c", 2) == [[[0, 1, 2]]]
    assert tq.add_chord_parts([part(n) for n in range(3)], claimant="us", lease=30) == []
