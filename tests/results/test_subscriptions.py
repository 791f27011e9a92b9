"""Subscriptions to results: what every backend's keeps, and the one for backends that have none."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tq_core import Celery
from tq_core.contracts.backend import Backend, ResultRecord, ResultSubscription
from tq_core.results.polling import PolledSubscription

#: Seconds after which a test gives up; never waited for when all is well.
PATIENCE = 30.0


@pytest.fixture(params=["memory", "sqlite", "polled"])
def backend(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[Backend]:
    url = sqlite_url if request.param == "sqlite" else f"memory://{re.sub(r'[^a-z]', '-', request.node.name)}"
    with Celery("proj", broker="memory://", backend=url, set_as_current=False) as app:
        yield app.backend


@pytest.fixture
def subscription(request: pytest.FixtureRequest, backend: Backend) -> Iterator[ResultSubscription]:
    polled = "polled" in request.node.name
    assert backend.capabilities.subscribe
    made = PolledSubscription(backend) if polled else backend.subscribe()
    yield made
    made.close()
    made.close()


def success(task_id: str, value: Any = None) -> ResultRecord:
    return ResultRecord(task_id, "SUCCESS", value)


def received(subscription: ResultSubscription, count: int) -> list[ResultRecord]:
    """Receive until there are so many records; an empty answer is none."""
    records: list[ResultRecord] = []
    gave_up = threading.Event()
    alarm = threading.Timer(PATIENCE, gave_up.set)
    alarm.start()
    while len(records) < count and not gave_up.is_set():
        records += subscription.receive(1.0)
    alarm.cancel()
    return records


def test_a_result_that_is_there_already_is_told_at_once(backend: Backend, subscription: ResultSubscription) -> None:
    backend.store([success("early", 1)])
    subscription.add(["early"])
    assert [(record.task_id, record.result) for record in subscription.receive(PATIENCE)] == [("early", 1)]


def test_a_result_that_comes_later_ends_the_wait(backend: Backend, subscription: ResultSubscription) -> None:
    subscription.add(["late"])
    threading.Timer(0.05, backend.store, ([success("late", 2)],)).start()
    assert [record.result for record in received(subscription, 1)] == [2]


def test_each_result_is_told_once(backend: Backend, subscription: ResultSubscription) -> None:
    subscription.add(["one", "two"])
    backend.store([success("one"), success("two")])
    assert sorted(record.task_id for record in received(subscription, 2)) == ["one", "two"]
    backend.store([ResultRecord("one", "FAILURE", {"exc_type": "E", "exc_message": [], "exc_module": "m"})])
    assert subscription.receive(0.05) == []


def test_a_state_that_is_not_ready_is_not_told(backend: Backend, subscription: ResultSubscription) -> None:
    subscription.add(["slow"])
    backend.store([ResultRecord("slow", "STARTED", {"pid": 1}), success("other")])
    assert subscription.receive(0.05) == []
    backend.store([success("slow", 3)])
    assert [record.result for record in received(subscription, 1)] == [3]


def test_tasks_can_be_added_while_others_are_waited_for(backend: Backend, subscription: ResultSubscription) -> None:
    subscription.add(["first"])
    assert subscription.receive(0.01) == []
    backend.store([success("second", 2)])
    subscription.add(["second"])
    assert [record.task_id for record in received(subscription, 1)] == ["second"]
    backend.store([success("first", 1)])
    assert [record.task_id for record in received(subscription, 1)] == ["first"]


def test_a_dropped_task_is_not_told_and_can_be_added_again(backend: Backend, subscription: ResultSubscription) -> None:
    subscription.add(["gone", "kept"])
    subscription.drop(["gone", "unknown"])
    backend.store([success("gone"), success("kept")])
    assert [record.task_id for record in received(subscription, 1)] == ["kept"]
    assert subscription.receive(0.05) == []
    subscription.add(["gone"])
    assert [record.task_id for record in received(subscription, 1)] == ["gone"]


@pytest.mark.parametrize("awaited", [[], ["nobody"]])
def test_another_thread_can_wake_the_waiting_one(subscription: ResultSubscription, awaited: list[str]) -> None:
    subscription.add(awaited)
    threading.Timer(0.05, subscription.wake).start()
    assert subscription.receive(PATIENCE * 4) == []


def test_a_thousand_tasks_are_one_subscription(backend: Backend, subscription: ResultSubscription) -> None:
    ids = [f"task-{n}" for n in range(1000)]
    subscription.add(ids)

    def store() -> None:
        for at in range(0, len(ids), 100):
            backend.store([success(task_id) for task_id in ids[at : at + 100]])

    storing = threading.Thread(target=store)
    storing.start()
    assert sorted(record.task_id for record in received(subscription, 1000)) == sorted(ids)
    storing.join(PATIENCE)
