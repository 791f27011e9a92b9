"""Workers of one side are killed, and workers of the other side finish what they held, which RabbitMQ hands on."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from kombu import Connection

from tests.interop.ear import Ear
from tests.interop.places import PLACES, SIDES, Place
from tests.interop.servers import Servers
from tests.interop.sides import Driver, WorkerNode
from tq_core.testing.conformance.patience import until

pytestmark = [pytest.mark.real_celery, pytest.mark.timeout(600)]

THEIRS = [side for side in SIDES if side != "tq"]


@pytest.fixture(scope="module")
def place(servers: Servers) -> Iterator[Place]:
    with PLACES["rabbitmq"].open(servers) as place:
        yield place


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Driver]:
    """A client of ours."""
    with closing(Driver("tq", place)) as driver:
        yield driver


@pytest.fixture
def queue() -> str:
    """A queue that no other test uses."""
    return f"q-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def start_here(place: Place, queue: str) -> Iterator[Callable[[str], WorkerNode]]:
    """Start the worker of a side; its node is named after the side."""
    started: list[WorkerNode] = []

    def starter(side: str) -> WorkerNode:
        started.append(WorkerNode(side, place, queue, f"{side}@interop"))
        return started[-1].ready()

    yield starter
    for worker in started:
        worker.close()


@pytest.fixture
def ready(place: Place, queue: str) -> Iterator[Callable[[], int]]:
    """Counts the messages that wait in the queue."""
    with Connection(place.broker) as connection:
        yield lambda: connection.default_channel.queue_declare(queue, passive=True).message_count


@pytest.mark.parametrize("side", THEIRS)
def test_celery_finishes_what_our_killed_worker_held(
    client: Driver, start_here: Callable[[str], WorkerNode], queue: str, fifo: str, side: str
) -> None:
    ours = start_here("tq")
    with closing(Ear(fifo)) as ear:
        task_id = client("send", "strand", [fifo, "tq@interop"], {"queue": queue})
        ear.wait()
    ours.kill()
    start_here(side)
    assert client("get", task_id) == f"{side}@interop"


@pytest.mark.parametrize("side", THEIRS)
def test_we_finish_what_celerys_killed_worker_held(
    client: Driver,
    start_here: Callable[[str], WorkerNode],
    ready: Callable[[], int],
    queue: str,
    fifo: str,
    side: str,
) -> None:
    # Two, one that Celery keeps in its memory until it is due and one that it runs. Sent by Celery's form of a due
    # time: what tq sends waits in RabbitMQ, where no worker of Celery's sees it.
    theirs = start_here(side)
    due = time.time() + 5.0
    with closing(Ear(fifo)) as ear:
        with closing(Driver(side, client.place)) as sender:
            later = sender("send", "moment", [], {"queue": queue, "countdown": 5.0})
        until(lambda: ready() == 0, f"{side} did not take what is due later")
        task_id = client("send", "strand", [fifo, f"{side}@interop"], {"queue": queue})
        ear.wait()
    theirs.kill()
    start_here("tq")
    assert client("get", task_id) == "tq@interop"
    assert client("get", later) >= due - 0.01


@pytest.mark.parametrize("side", THEIRS)
def test_celery_finds_what_waits_for_its_time_when_all_of_ours_are_gone(
    client: Driver, start_here: Callable[[str], WorkerNode], ready: Callable[[], int], queue: str, side: str
) -> None:
    start_here("tq").kill()
    due = time.time() + 1.0
    task_id = client("send", "moment", [], {"queue": queue, "countdown": 1.0})
    assert ready() == 0, "it does not wait elsewhere"
    start_here(side)
    assert client("get", task_id) >= due - 0.01


@pytest.mark.parametrize("side", THEIRS)
def test_a_worker_that_stops_leaves_its_messages_to_the_other_side_at_once(
    client: Driver, start_here: Callable[[str], WorkerNode], queue: str, side: str
) -> None:
    theirs, ours = start_here(side), start_here("tq")
    theirs.stop()
    first = client("send", "add", [1, 2], {"queue": queue})
    assert client("get", first) == 3
    start_here(side)
    ours.stop()
    second = client("send", "add", [3, 4], {"queue": queue})
    assert client("get", second) == 7
