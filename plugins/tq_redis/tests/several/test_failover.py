"""When a master dies and its replica takes over, everything goes on by itself."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from tq_redis.slots import one_slot, slot_of

from tests.private_servers import (
    PrivateRedisCluster,
    PrivateServer,
    private_redis,
    private_redis_cluster,
    private_redis_sentinel,
)
from tq_core.contracts.backend import ResultRecord
from tq_core.contracts.broker import Ack, Consumer
from tq_core.errors import BackendUnavailable, BrokerUnavailable, PublishError
from tq_core.message import Delivery, Message
from tq_core.states import SUCCESS
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.network import insist
from tq_core.testing.conformance.patience import Thread, until

#: Seconds of silence after which a master is held for dead, and after which a test fails.
SILENCE, PATIENCE = 1.0, 60.0


@dataclass
class Place:
    """Servers of which one has a deployment's queues, and another will have them.

    Attributes:
        url: of broker and backend.
        options: transport options.
        master: has the queues.
        await_replica: waits until the replica has all.
        await_successor: waits until it has taken over.
    """

    url: str
    options: dict[str, Any]
    master: PrivateServer
    await_replica: Callable[[], None]
    await_successor: Callable[[], None]

    @property
    def address(self) -> Address:
        options = {**self.options, "socket_timeout": 2.0}
        return Address(self.url, {"broker_transport_options": options, "result_backend_transport_options": options})


@pytest.fixture
def by_sentinel() -> Iterator[Place]:
    with private_redis_sentinel(patience=SILENCE) as group:
        options = {"master_name": group.service}
        yield Place(group.url, options, group.master, group.await_replica, group.await_successor)


@pytest.fixture
def own_cluster() -> Iterator[PrivateRedisCluster]:
    with private_redis_cluster(replicas=True, patience=SILENCE) as cluster:
        yield cluster


@pytest.fixture
def in_cluster(own_cluster: PrivateRedisCluster) -> Place:
    number = own_cluster.master_of(slot_of(one_slot("")))
    return Place(
        own_cluster.url,
        {},
        own_cluster.masters[number],
        lambda: own_cluster.await_replica(number),
        lambda: own_cluster.await_successor(number),
    )


@pytest.fixture(params=["by_sentinel", "in_cluster"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def message(task_id: str) -> Message:
    return Message(task_id, {"id": task_id}, b"[]", queue="q", routing_key="q")


def take(consumer: Consumer, count: int) -> list[Delivery]:
    """Receive so many, as a worker does: going on after every break."""
    taken: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE
    while (left := count - len(taken)) > 0:
        assert time.monotonic() < deadline, f"only {len(taken)} of {count} came"
        taken += insist(lambda left=left: consumer.receive(left, 1.0))  # type: ignore[misc]  # left is bound
    return taken


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.id for delivery in deliveries if delivery.message]


def test_what_the_replica_had_is_there_and_whoever_waits_goes_on_waiting(place: Place) -> None:
    broker, backend = place.address.broker(), place.address.backend()
    consumer = broker.consumer(["q"], consumer_id="me")
    news = broker.listen("news")
    broker.publish([message(word) for word in ("held", "first", "second")])
    (held,) = take(consumer, 1)
    results = [ResultRecord(f"r{number}", SUCCESS, number) for number in range(50)]
    backend.store(results)
    backend.open_chord("c", 2)
    token = backend.coordination().acquire("lock", "me", PATIENCE)
    watching = Thread(lambda: next(backend.watch(["late"], timeout=PATIENCE)).result)
    assert not watching.ended(0.1)
    place.await_replica()

    place.master.kill()
    with pytest.raises(BrokerUnavailable):
        consumer.receive(5, 0)
    place.await_successor()
    insist(lambda: broker.publish([message("third")]))
    taken = take(consumer, 3)
    assert ids(taken) == ["first", "second", "third"]
    assert [delivery.delivery_count for delivery in taken] == [1, 1, 1]
    assert list(insist(lambda: consumer.settle([Ack(one.tag) for one in (held, *taken)]))) == []
    depth = broker.depth("q")
    assert (depth.ready, depth.held) == (0, 0)

    found = insist(lambda: backend.fetch([record.task_id for record in results]))
    assert [record.result for record in found.values()] == list(range(50))
    assert backend.coordination().acquire("lock", "you", PATIENCE) is None
    assert backend.coordination().release("lock", "me")
    again = backend.coordination().acquire("lock", "you", PATIENCE)
    assert token is not None
    assert again is not None
    assert again > token
    insist(lambda: backend.store([ResultRecord("late", SUCCESS, "came")]))
    assert watching.result(PATIENCE) == "came"

    def heard() -> bool:
        broker.broadcast("news", b"hello")
        return b"hello" in insist(lambda: news.receive(0.2))

    until(heard, "broadcasts are not heard any more")

    # The one that was killed comes back as the replica of its successor.
    place.master.start()
    broker.publish([message("fourth")])
    assert ids(take(consumer, 1)) == ["fourth"]
    consumer.close()
    news.close()
    broker.close()
    backend.close()


def test_whoever_waits_at_a_master_that_steps_down_gets_what_its_successor_is_given(
    own_cluster: PrivateRedisCluster, in_cluster: Place
) -> None:
    place = in_cluster
    broker, backend = place.address.broker(), place.address.backend()
    consumer = broker.consumer(["q"], consumer_id="me")
    broker.publish([message("before")])
    backend.store([ResultRecord("before", SUCCESS, 1)])
    (held,) = take(consumer, 1)
    waiting = Thread(lambda: take(consumer, 1))
    watching = Thread(lambda: next(backend.watch(["late"], timeout=PATIENCE)).result)
    assert not waiting.ended(0.2)
    assert not watching.ended(0)
    place.await_replica()
    for number in range(3):
        own_cluster.step_down(number)
    # No second try: nothing is refused that another server takes.
    broker.publish([message("after")])
    backend.store([ResultRecord("late", SUCCESS, "came")])
    (after,) = waiting.result(PATIENCE)
    assert ids([after]) == ["after"]
    assert watching.result(PATIENCE) == "came"
    assert list(insist(lambda: consumer.settle([Ack(held.tag), Ack(after.tag)]))) == []
    assert backend.fetch(["before"])["before"].result == 1
    consumer.close()
    broker.close()
    backend.close()


def test_a_master_that_lost_its_replicas_takes_nothing_and_says_so() -> None:
    with private_redis() as server, Redis(port=server.port) as client:
        broker, backend = Address(server.url).broker(), Address(server.url).backend()
        consumer = broker.consumer(["q"], consumer_id="me")
        broker.publish([message("held")])
        (held,) = take(consumer, 1)
        client.config_set("min-replicas-to-write", 1)
        with pytest.raises(PublishError, match="min-replicas-to-write") as refused:
            broker.publish([message("refused")])
        assert not refused.value.maybe_sent
        with pytest.raises(BrokerUnavailable, match="min-replicas-to-write"):
            consumer.settle([Ack(held.tag)])
        with pytest.raises(BackendUnavailable, match="min-replicas-to-write"):
            backend.store([ResultRecord("x", SUCCESS, 1)])
        client.config_set("min-replicas-to-write", 0)
        assert list(consumer.settle([Ack(held.tag)])) == []
        broker.publish([message("after")])
        assert ids(take(consumer, 1)) == ["after"]
        consumer.close()
        broker.close()
        backend.close()


APPLICATION = """
import os, time
from tq_core import Celery, chord
app = Celery("shop", broker=os.environ["SHOP_URL"], backend=os.environ["SHOP_URL"])
if "SHOP_MASTER" in os.environ:
    options = {"master_name": os.environ["SHOP_MASTER"]}
    app.conf.broker_transport_options = app.conf.result_backend_transport_options = options
app.conf.task_acks_late = True

@app.task
def double(number):
    time.sleep(0.01)
    return 2 * number
"""


def test_a_worker_does_all_its_tasks_although_the_master_dies_in_the_middle(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.py").write_text(APPLICATION)
    monkeypatch.setenv("SHOP_URL", place.url)
    if place.options:
        monkeypatch.setenv("SHOP_MASTER", place.options["master_name"])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    shop = importlib.import_module("shop")
    sent = [shop.double.delay(number) for number in range(200)]
    place.await_replica()
    command = [sys.executable, "-m", "tq_core.cli.main", "-A", "shop", "worker", "-c", "2", "-l", "critical"]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        assert sent[10].get(timeout=PATIENCE) == 20
        place.master.kill()
        results = [insist(lambda result=result: result.get(timeout=PATIENCE)) for result in sent]  # type: ignore[misc]  # bound
        assert results == [2 * number for number in range(200)]
        assert insist(lambda: shop.double.delay(7)).get(timeout=PATIENCE) == 14
        assert worker.poll() is None, (tmp_path / "log").read_text()
    finally:
        worker.terminate()
        worker.wait(PATIENCE)
        shop.app.close()
