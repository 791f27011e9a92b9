"""What is special about a Redis Cluster: where keys lie, how nodes are found, and slots that move."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import pytest
from redis import Redis
from tq_redis.slots import one_slot, slot_of

from tests.private_servers import PrivateRedisCluster, private_redis
from tests.private_servers.redis_cluster import PrivateNode
from tests.private_servers.redis_tls import PrivateTLSNode
from tests.private_servers.server import running
from tq_core.contracts.backend import Backend, ChordPart, ResultRecord
from tq_core.contracts.broker import Ack, Broker
from tq_core.errors import BackendUnavailable, BrokerUnavailable, ImproperlyConfigured, PublishError
from tq_core.message import Message
from tq_core.states import SUCCESS
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.patience import Thread, take

OPTIONS = ("broker_transport_options", "result_backend_transport_options")


@pytest.fixture
def address(cluster: PrivateRedisCluster, prefix: str) -> Address:
    return Address(cluster.url, {name: {"global_keyprefix": prefix, "socket_timeout": 2.0} for name in OPTIONS})


@pytest.fixture
def broker(address: Address) -> Iterator[Broker]:
    with closing(address.broker()) as broker:
        yield broker


@pytest.fixture
def backend(address: Address) -> Iterator[Backend]:
    with closing(address.backend()) as backend:
        yield backend


def message(task_id: str) -> Message:
    return Message(task_id, {"id": task_id}, b"[]", queue="q", routing_key="q")


def done(task_id: str, result: Any = 42) -> ResultRecord:
    return ResultRecord(task_id, SUCCESS, result)


def publishing_error(broker: Broker, task_id: str) -> PublishError | None:
    """Publish a message; return the error that says that it was not taken."""
    try:
        broker.publish([message(task_id)])
    except PublishError as error:
        return error
    return None


class Move:
    """A slot on its way from one node to another."""

    def __init__(self, cluster: PrivateRedisCluster, slot: int) -> None:
        self._cluster = cluster
        self._slot = slot
        number = cluster.master_of(slot)
        self.source = cluster.masters[number]
        self.target = cluster.masters[(number + 1) % 3]

    def begin(self) -> None:
        """Announce the move; every key is where it was."""
        self.target.ask("CLUSTER SETSLOT", self._slot, "IMPORTING", self.source.id)
        self.source.ask("CLUSTER SETSLOT", self._slot, "MIGRATING", self.target.id)

    def left(self) -> list[bytes]:
        """Return what has not been moved."""
        found: list[bytes] = self.source.ask("CLUSTER GETKEYSINSLOT", self._slot, 1000)
        return sorted(found)

    def carry(self, keys: Sequence[bytes]) -> None:
        """Move some keys."""
        self.source.ask("MIGRATE", self.target.host, self.target.port, "", 0, 5000, "KEYS", *keys)

    def end(self) -> None:
        """Move the rest, and have everybody know."""
        if keys := self.left():
            self.carry(keys)
        others = [node for node in self._cluster.masters if node not in {self.source, self.target}]
        for node in (self.target, self.source, *others):
            node.ask("CLUSTER SETSLOT", self._slot, "NODE", self.target.id)


def test_queues_lie_in_one_slot_and_results_in_many(
    cluster: PrivateRedisCluster, prefix: str, broker: Broker, backend: Backend
) -> None:
    consumer = broker.consumer(["q", "r"], consumer_id="me")
    broker.publish([message("a"), message("b")])
    consumer.settle([Ack(take(consumer, 1)[0].tag)])
    backend.store([done(f"t{number}") for number in range(100)])
    backend.add_chord_parts([ChordPart("}g{", 0, "t", SUCCESS, 1)], claimant="me", lease=1)
    coordination = backend.coordination()
    coordination.acquire("}lock", "me", 60)
    coordination.put("value", b"", 60)
    keys = [key for node in cluster.masters for key in node.ask("KEYS *") if prefix.encode() in key]
    queues = {slot_of(key) for key in keys if key.startswith(b"{")}
    results = {slot_of(key) for key in keys if b"celery-task-meta-" in key}
    assert queues == {slot_of(one_slot(prefix))}
    assert len(results) > 90
    assert {cluster.master_of(slot) for slot in results} == {0, 1, 2}
    consumer.close()


def test_a_slot_that_moves_takes_the_queues_along_and_nothing_is_torn(
    cluster: PrivateRedisCluster, prefix: str, broker: Broker
) -> None:
    consumer = broker.consumer(["q"], consumer_id="me")
    broker.publish([message(f"m{number}") for number in range(20)])
    held = take(consumer, 5)
    sent = [f"m{number}" for number in range(20)]
    move = Move(cluster, slot_of(one_slot(prefix)))
    move.begin()

    def nothing_goes() -> None:
        """While it moves, no script runs: one would find some of its keys here and some there."""
        with pytest.raises(BrokerUnavailable, match="moving"):
            consumer.receive(5, 0)
        with pytest.raises(BrokerUnavailable, match="moving"):
            consumer.settle([Ack(held[0].tag)])

    def publish(task_id: str) -> None:
        denied = publishing_error(broker, task_id)
        if denied is None:
            sent.append(task_id)
        else:
            assert not denied.maybe_sent

    nothing_goes()
    publish("at first")
    for key in move.left():
        move.carry([key])
        nothing_goes()
        publish(f"after {key.decode()}")
    move.end()
    assert list(consumer.settle([Ack(delivery.tag) for delivery in held])) == []
    rest = take(consumer, len(sent) - 5)
    got = [delivery.message.id for delivery in (*held, *rest) if delivery.message]
    assert got == sent
    assert {delivery.delivery_count for delivery in rest} == {1}
    consumer.settle([Ack(delivery.tag) for delivery in rest])
    consumer.close()
    assert broker.depth("q").ready == broker.depth("q").held == 0


def test_results_of_a_slot_that_moves_are_stored_and_found_all_the_while(
    cluster: PrivateRedisCluster, prefix: str, backend: Backend
) -> None:
    # The braces keep these in one slot.
    ids = [f"{{{prefix}}}{number}" for number in range(12)]
    backend.store([done(task_id, "old") for task_id in ids[:6]])
    move = Move(cluster, slot_of(f"{{{prefix}}}"))
    move.begin()
    moved, kept = ids[0], ids[1]
    move.carry([next(key for key in move.left() if key.endswith(moved.encode()))])
    for task_id in (moved, kept):
        assert backend.fetch([task_id])[task_id].result == "old"
    backend.store([done(ids[6], "new")])
    assert backend.fetch([ids[6]])[ids[6]].result == "new"
    backend.forget([moved])
    assert backend.fetch([moved]) == {}
    # What lies here and there at once has to wait until it lies together.
    together = Thread(lambda: backend.store([done(task_id, "new") for task_id in ids[7:]]))
    move.end()
    together.result()
    assert len(backend.fetch(ids)) == 11


def test_a_chord_whose_slot_moves_is_claimed_once(cluster: PrivateRedisCluster, prefix: str, backend: Backend) -> None:
    group = f"{prefix}g"
    backend.open_chord(group, 3)

    def add(index: int) -> list[str]:
        return backend.add_chord_parts([ChordPart(group, index, f"t{index}", SUCCESS, index)], claimant="me", lease=60)

    assert add(0) == []
    key = f"{prefix}{{celery-taskset-meta-{group}}}.s"
    assert any(key.encode() in node.ask("KEYS *") for node in cluster.masters)
    move = Move(cluster, slot_of(key))
    move.begin()
    move.carry([key])
    # Its keys are apart: it says so in time, and counts nothing.
    with pytest.raises(BackendUnavailable, match="moving"):
        add(1)
    move.end()
    assert add(1) == []
    assert add(2) == [group]
    assert [part.result for part in backend.chord_parts(group)] == [0, 1, 2]
    backend.close_chord(group)


def test_a_node_that_is_not_there_is_passed_over(cluster: PrivateRedisCluster, address: Address) -> None:
    node = cluster.masters[1]
    elsewhere = Address(f"redis+cluster://127.0.0.1:1;{node.host}:{node.port}", address.settings)
    with closing(elsewhere.broker()) as broker, closing(elsewhere.backend()) as backend:
        broker.connect(5.0)
        backend.connect(5.0)
        broker.publish([message("x")])
        backend.store([done("x")])
    nowhere = Address("redis+cluster://127.0.0.1:1,127.0.0.1:2", address.settings)
    with closing(nowhere.broker()) as broker, pytest.raises(BrokerUnavailable, match="no node tells"):
        broker.connect(5.0)
    with closing(nowhere.backend()) as backend, pytest.raises(BackendUnavailable, match="no node tells"):
        backend.connect(5.0)


def test_a_single_server_and_a_cluster_are_not_taken_for_one_another(cluster: PrivateRedisCluster) -> None:
    with private_redis() as single:
        wrong = Address(f"redis+cluster://{single.host}:{single.port}").broker()
        with closing(wrong), pytest.raises(BrokerUnavailable, match="cluster support disabled"):
            wrong.connect(5.0)
    refusals = []
    for node in cluster.masters:
        with closing(Address(f"redis://{node.host}:{node.port}/0").broker()) as broker:
            refusals.append(publishing_error(broker, "x"))
    assert sorted("redis+cluster://" in str(error) for error in refusals) == [False, True, True]


@pytest.mark.parametrize("setting", OPTIONS)
def test_a_prefix_with_braces_is_refused(cluster: PrivateRedisCluster, setting: str) -> None:
    at = Address(cluster.url, {setting: {"global_keyprefix": "{shop}"}})
    with pytest.raises(ImproperlyConfigured, match="no braces"):
        (at.broker if setting == OPTIONS[0] else at.backend)()


def test_threads_share_a_cluster(cluster: PrivateRedisCluster, backend: Backend) -> None:
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait(20)
        for turn in range(20):
            backend.store([done(f"t{number}-{turn}-{n}", n) for n in range(5)])

    threads = [Thread(lambda number=number: work(number)) for number in range(8)]  # type: ignore[misc]  # bound
    for thread in threads:
        thread.result()
    ids = [f"t{number}-{turn}-{n}" for number in range(8) for turn in range(20) for n in range(5)]
    assert [record.result for record in backend.fetch(ids).values()] == [n for _ in range(160) for n in range(5)]


Node = TypeVar("Node", bound=PrivateNode)


@contextmanager
def lone_node(node: Node) -> Iterator[Node]:
    """Run a cluster of one node."""
    alone = PrivateRedisCluster([node], [])
    alone.introduce()
    with running(node):
        alone.await_all()
        yield node


def test_a_password_and_a_user_are_sent() -> None:
    with lone_node(PrivateNode(30.0)) as node:
        with Redis(port=node.port) as client:
            client.execute_command("ACL", "SETUSER", "shop", "on", ">p@ss", "~*", "&*", "+@all")
            client.execute_command("ACL", "SETUSER", "default", "off")
        with closing(Address(f"redis+cluster://shop:p%40ss@{node.host}:{node.port}").backend()) as backend:
            backend.connect(5.0)
            backend.store([done("x")])
            assert list(backend.fetch(["x"])) == ["x"]
        wrong = Address(f"redis+cluster://shop:hunter2@{node.host}:{node.port}").broker()
        with closing(wrong), pytest.raises(BrokerUnavailable, match="refused the user or password") as refused:
            wrong.connect(5.0)
        assert "hunter2" not in str(refused.value)


def test_a_cluster_is_reached_by_tls_and_its_certificate_is_checked() -> None:
    with lone_node(PrivateTLSNode(30.0)) as node:
        url = f"rediss+cluster://{node.host}:{node.tls_port}"
        trusting = {name: {"ssl_ca_certs": str(node.certificate)} for name in OPTIONS}
        with closing(Address(url, trusting).broker()) as broker, closing(Address(url, trusting).backend()) as backend:
            broker.publish([message("x")])
            backend.store([done("x")])
            assert list(backend.fetch(["x"])) == ["x"]
            assert {client["cmd"] for client in tls_clients(node)} >= {"sadd", "mget"}
        with closing(Address(url).broker()) as broker, pytest.raises(BrokerUnavailable, match=r"(?i)certificate"):
            broker.connect(5.0)


def tls_clients(node: PrivateTLSNode) -> list[dict[str, str]]:
    """Return the clients that came by TLS."""
    with Redis(port=node.port) as client:
        return [one for one in client.client_list() if one["laddr"].endswith(f":{node.tls_port}")]
