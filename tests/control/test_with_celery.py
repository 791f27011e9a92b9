"""Limits and revocation between tq and a real Celery, over remote control."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.celery_environments import VERSIONS
from tests.interop.places import Place
from tests.interop.sides import Driver, WorkerNode

pytestmark = pytest.mark.real_celery
NEWEST = f"celery-{VERSIONS[-1]}"


@pytest.fixture
def celery_client(place: Place) -> Iterator[Driver]:
    with closing(Driver(NEWEST, place)) as driver:
        yield driver


@pytest.fixture
def celery_worker(place: Place) -> Iterator[WorkerNode]:
    node = WorkerNode(NEWEST, place, "theirs", "theirs@control")
    yield node.ready()
    node.close()


def exchange(client: Driver, node: str, queue: str, fifo: str) -> list[Any]:
    """Have a client ask a node for everything, and return what it answered and what became of a running task."""

    def ask(method: str, **arguments: Any) -> Any:
        (told,) = client("ask", method, arguments, [node])
        return told[node]

    answers = [
        ask("rate_limit", task_name="project.add", rate_limit="100/s"),
        ask("rate_limit", task_name="project.add", rate_limit=0),
        ask("rate_limit", task_name="project.nothing", rate_limit="1/s"),
        ask("time_limit", task_name="project.add", soft=30, hard=60),
        ask("time_limit", task_name="project.nothing", soft=30),
        ask("revoke_by_stamped_headers", headers={"customer": ["a"]}),
        ask("revoke", task_id="nothing", terminate=True),
    ]
    running = client("send", "hold", [fifo], {"queue": queue})
    pipe = client("opened", fifo)
    told = ask("terminate", task_id=running, signal="SIGTERM")
    answers.append({key: value.replace(running, "ID") for key, value in told.items()})
    answers.append(client("get", running)[0])
    client("close", pipe)
    return answers


def test_both_sides_answer_alike_and_stop_what_runs(
    client: Driver, celery_client: Driver, celery_worker: WorkerNode, start: Callable[..., WorkerNode], fifo: str
) -> None:
    start("ours")
    ours = exchange(celery_client, "ours@control", "ours", fifo)
    theirs = exchange(client, "theirs@control", "theirs", fifo)
    assert ours == theirs
