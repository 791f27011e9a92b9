"""Exchanges and priorities mean the same on every broker."""

from __future__ import annotations

import threading
from collections import Counter

import kombu
import pytest

from tests.behaviour.places import PLACES
from tests.nodes import PATIENCE
from tq_core import Celery
from tq_core.errors import PublishError, QueueNotFound
from tq_core.testing.worker import start_worker

TOPIC, FANOUT = kombu.Exchange("news", "topic"), kombu.Exchange("alerts", "fanout")
QUEUES = [
    kombu.Queue("celery", kombu.Exchange("celery"), "celery", max_priority=9),
    kombu.Queue("all", TOPIC, "#"),
    kombu.Queue("sport", TOPIC, "sport.*"),
    kombu.Queue("one", FANOUT),
    kombu.Queue("two", FANOUT),
]


@pytest.fixture(scope="module", params=["memory", "sqlite", "redis", "rabbitmq"])
def urls(request, require_service):
    place = PLACES[request.param]
    for service in place.services:
        require_service(service)
    with place.open() as urls:
        yield urls


@pytest.fixture
def app(urls):
    with Celery("proj", broker=urls[0], backend=urls[1], set_as_current=False) as app:
        app.conf.task_queues = QUEUES
        app.conf.task_priority_order = "high_first"
        yield app


@pytest.fixture
def run(app):
    """Run what waits in all queues, and return for each task where it came from, in order."""

    def run(names, count):
        seen = []
        done = threading.Event()
        for name in names:
            if name not in app.tasks:
                task = app.task(name=name, bind=True)(lambda self, *args: note(self.name, self.request.delivery_info))

        def note(name, info):
            seen.append((name, info["exchange"], info["routing_key"]))
            if len(seen) == count:
                done.set()

        with start_worker(app):
            assert task
            assert done.wait(PATIENCE), seen
        return seen

    return run


@pytest.mark.row("S093")
def test_exchanges_lead_to_the_queues_that_are_bound(app, run):
    app.send_task("topic", exchange="news", routing_key="sport.chess")
    app.send_task("topic.all", exchange="news", routing_key="art")
    app.send_task("fanout", exchange="alerts")
    app.send_task("by.queue", queue="one")
    app.send_task("direct")
    app.send_task("delayed", queue="two", countdown=0.05)
    seen = run(["topic", "topic.all", "fanout", "by.queue", "direct", "delayed"], 10)
    assert Counter(name for name, _, _ in seen) == {
        "topic": 2,
        "topic.all": 1,
        "fanout": 2,
        "by.queue": 2,
        "direct": 1,
        "delayed": 2,
    }
    if not app.broker_address.startswith("redis"):  # where a message tells its queue alone
        assert {(exchange, key) for name, exchange, key in seen if name == "topic"} == {("news", "sport.chess")}


@pytest.mark.row("S095")
def test_a_key_that_leads_nowhere_is_an_error_and_nothing_is_dropped(app):
    app.conf.task_queues = [*QUEUES, kombu.Queue("found", kombu.Exchange("searches", "topic"), "found.#")]
    app.send_task("t", exchange="searches", routing_key="found.words")
    with pytest.raises((QueueNotFound, PublishError), match=r"(?i)no queue.*bound to.*'searches'.*'lost\.words'"):
        app.send_task("t", exchange="searches", routing_key="lost.words", mandatory=True, retry=False)
    assert app.broker.depth("found").ready == 1


@pytest.mark.row("S097")
def test_the_most_urgent_runs_first_whatever_the_broker_calls_it(app, run):
    names = [f"p{priority}" for priority in (2, 9, 0, 5)]
    for name in names:
        app.send_task(name, priority=int(name[1:]))
    assert [name for name, _, _ in run(names, 4)] == ["p9", "p5", "p2", "p0"]
