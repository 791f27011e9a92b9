"""Workers of one side are killed, and workers of the other side finish what they held."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from redis import Redis

from tests.interop.ear import Ear
from tests.interop.places import SIDES, Place
from tests.interop.sides import Driver, WorkerNode
from tests.private_servers import private_redis
from tq_core.testing.conformance.patience import until

pytestmark = [pytest.mark.real_celery, pytest.mark.timeout(600)]

#: Seconds after which Celery's workers, and ours beside them, hand out again what was taken and not acknowledged.
VISIBLE = 2.0

THEIRS = [side for side in SIDES if side != "tq"]


@pytest.fixture
def place() -> Iterator[Place]:
    """A Redis that nobody else uses: any worker may hand out again what any other has taken."""
    with private_redis() as server:
        yield Place(server.url, server.url, {"broker_transport_options": {"visibility_timeout": VISIBLE}})


@pytest.fixture
def redis(place: Place) -> Iterator[Redis]:
    with Redis.from_url(place.broker) as client:
        yield client


@pytest.fixture
def client(place: Place) -> Iterator[Driver]:
    """A client of ours."""
    with closing(Driver("tq", place)) as driver:
        yield driver


@pytest.fixture
def start_here(place: Place) -> Iterator[Callable[[str], WorkerNode]]:
    """Start the worker of a side; its node is named after the side."""
    started: list[WorkerNode] = []

    def starter(side: str) -> WorkerNode:
        started.append(WorkerNode(side, place, "q", f"{side}@interop"))
        return started[-1].ready()

    yield starter
    for worker in started:
        worker.close()


def overdue(redis: Redis) -> bool:
    """Tell whether everything that is held may be handed out again by Celery's rule."""
    scores = [score for _, score in redis.zrange("unacked_index", 0, -1, withscores=True)]
    return all(score <= time.time() - VISIBLE for score in scores)


def nothing_left(redis: Redis) -> bool:
    return not redis.exists("q", "unacked", "unacked_index")


@pytest.mark.parametrize("side", THEIRS)
def test_celery_finishes_what_our_killed_worker_held(
    client: Driver, start_here: Callable[[str], WorkerNode], redis: Redis, fifo: str, side: str
) -> None:
    ours = start_here("tq")
    with closing(Ear(fifo)) as ear:
        task_id = client("send", "strand", [fifo, "tq@interop"], {"queue": "q"})
        ear.wait()
    ours.kill()
    # Celery's workers look when they start, and then seldom.
    until(lambda: overdue(redis), "the lease of a dead worker goes on")
    start_here(side)
    assert client("get", task_id) == f"{side}@interop"
    until(lambda: nothing_left(redis), "something was left behind")


@pytest.mark.parametrize("side", THEIRS)
def test_we_finish_what_celerys_killed_worker_held(
    client: Driver, start_here: Callable[[str], WorkerNode], redis: Redis, fifo: str, side: str
) -> None:
    theirs = start_here(side)
    due = time.time() + 5.0
    with closing(Ear(fifo)) as ear:
        # One that Celery keeps in its memory until it is due, and one that it runs.
        later = client("send", "moment", [], {"queue": "q", "countdown": 5.0})
        until(lambda: redis.zcard("unacked_index") == 1, f"{side} did not take what is due later")
        task_id = client("send", "strand", [fifo, f"{side}@interop"], {"queue": "q"})
        ear.wait()
    theirs.kill()
    start_here("tq")
    assert client("get", task_id) == "tq@interop"
    assert client("get", later) >= due - 0.01
    until(lambda: nothing_left(redis), "something was left behind")


@pytest.mark.parametrize("side", THEIRS)
def test_celery_finds_what_waits_for_its_time_when_all_of_ours_are_gone(
    client: Driver, start_here: Callable[[str], WorkerNode], redis: Redis, side: str
) -> None:
    # Killed before, so that it cannot run it: a client lets calls wait in Redis for a day after the last sign of life.
    start_here("tq").kill()
    due = time.time() + 1.0
    task_id = client("send", "moment", [], {"queue": "q", "countdown": 1.0})
    assert redis.zcard("tq:due:q") == 1, "it does not wait in Redis"
    until(lambda: overdue(redis), "it never becomes Celery's")
    start_here(side)
    assert client("get", task_id) >= due - 0.01
    until(lambda: nothing_left(redis), "something was left behind")


@pytest.mark.parametrize("side", THEIRS)
def test_a_worker_that_stops_leaves_its_messages_to_the_other_side_at_once(
    client: Driver, start_here: Callable[[str], WorkerNode], redis: Redis, fifo: str, side: str
) -> None:
    theirs, ours = start_here(side), start_here("tq")
    theirs.stop()
    first = client("send", "add", [1, 2], {"queue": "q"})
    assert client("get", first) == 3
    start_here(side)
    ours.stop()
    second = client("send", "add", [3, 4], {"queue": "q"})
    assert client("get", second) == 7
    until(lambda: nothing_left(redis), "something was left behind")
