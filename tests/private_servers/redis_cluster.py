"""A Redis Cluster: masters that share the keys, and a replica for each of them where that is asked for."""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from redis import Redis

from tests.private_servers.redis import PrivateRedis, awaited
from tests.private_servers.server import free_port, running

SLOTS = 16384


class PrivateNode(PrivateRedis):
    """A node of a cluster.

    Args:
        patience: seconds of silence after which it holds another node for dead.

    Attributes:
        bus: the port on which the nodes talk to one another.
        id: what the cluster calls it.
    """

    def __init__(self, patience: float) -> None:
        super().__init__()
        self.bus = free_port()
        self.id = secrets.token_hex(20)
        self._patience = patience
        self._known = ""

    def know(self, lines: Sequence[str]) -> None:
        """Begin with what the nodes of a cluster know of one another: a line for each of them."""
        told = [line.replace(f"{self.bus} ", f"{self.bus} myself,") for line in lines]
        self._known = "\n".join([*told, f"vars currentEpoch {len(lines)} lastVoteEpoch 0", ""])

    def _fill(self) -> None:
        super()._fill()
        # As it would have written it itself; to introduce them to one another by commands takes many seconds.
        file = self.data / "nodes.conf"
        file.write_text(self._known)
        if self._run_as is not None:
            os.chown(file, pwd.getpwnam(self._run_as).pw_uid, -1)

    def _settings(self) -> Mapping[str, object]:
        return {
            **super()._settings(),
            "cluster-enabled": "yes",
            "cluster-port": self.bus,
            "cluster-node-timeout": f"{self._patience * 1000:.0f}",
        }

    def ask(self, *words: object) -> Any:
        """Send it a command and return the answer as it came."""
        with Redis(port=self.port) as client:
            client.response_callbacks.clear()
            return client.execute_command(*words)


class PrivateRedisCluster:
    """A cluster.

    Attributes:
        masters: those who share the keys at first.
        replicas: their successors, in the same order; empty without.
    """

    def __init__(self, masters: Sequence[PrivateNode], replicas: Sequence[PrivateNode]) -> None:
        self.masters = masters
        self.replicas = replicas

    @property
    def url(self) -> str:
        """The URL that names the masters."""
        return "redis+cluster://" + ",".join(f"{node.host}:{node.port}" for node in self.masters)

    def master_of(self, slot: int) -> int:
        """Return which of :attr:`masters` had a slot at first."""
        return slot * len(self.masters) // SLOTS

    def await_replica(self, number: int) -> None:
        """Wait until the replica of a master has all that it has been told so far."""
        awaited(lambda: _in_step(self.masters[number]), "the replica did not follow")

    def await_successor(self, number: int) -> None:
        """Wait until the replica of a master has taken its place."""
        awaited(lambda: self.replicas[number].ask("ROLE")[0] == b"master", "no replica became the master")

    def step_down(self, number: int) -> None:
        """Have a master and its replica, which has all, change places; both go on."""
        self.replicas[number].ask("CLUSTER FAILOVER")
        self.await_successor(number)
        awaited(lambda: self.masters[number].ask("ROLE")[0] == b"slave", "the master is still the master")

    def introduce(self) -> None:
        """Let every node know all of them before it starts."""
        lines = []
        for number, node in enumerate(self.masters):
            begin, end = (-(-SLOTS * at // len(self.masters)) for at in (number, number + 1))
            epoch = number + 1
            lines.append(
                f"{node.id} {node.host}:{node.port}@{node.bus} master - 0 0 {epoch} connected {begin}-{end - 1}"
            )
        for epoch, (node, master) in enumerate(zip(self.replicas, self.masters, strict=False), 1):
            lines.append(f"{node.id} {node.host}:{node.port}@{node.bus} slave {master.id} 0 0 {epoch} connected")
        for node in (*self.masters, *self.replicas):
            node.know(lines)

    def await_all(self) -> None:
        """Wait until all serve, and every replica has what its master has."""
        for node in (*self.masters, *self.replicas):
            awaited(lambda node=node: b"cluster_state:ok" in node.ask("CLUSTER INFO"), "the nodes do not find together")  # type: ignore[misc]  # bound
        for number in range(len(self.replicas)):
            self.await_replica(number)


def _in_step(master: PrivateNode) -> bool:
    with Redis(port=master.port) as client:
        told = client.info("replication")
    replica = told.get("slave0")
    return replica is not None and replica["state"] == "online" and replica["offset"] == told["master_repl_offset"]


@contextmanager
def private_redis_cluster(*, replicas: bool = False, patience: float = 30.0) -> Iterator[PrivateRedisCluster]:
    """Run a cluster of three masters for the time of a ``with`` block.

    Args:
        replicas: True for a replica of each.
        patience: seconds of silence after which a node is held for dead.
    """
    nodes = [PrivateNode(patience) for _ in range(6 if replicas else 3)]
    made = PrivateRedisCluster(nodes[:3], nodes[3:])
    made.introduce()
    with ExitStack() as stack:
        for node in nodes:
            stack.enter_context(running(node))
        made.await_all()
        yield made
