"""A Redis, its replica, and the sentinels that put the replica in its place when it dies."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from redis import Redis

from tests.private_servers.redis import PrivateRedis, awaited
from tests.private_servers.server import find_program, running


class PrivateReplica(PrivateRedis):
    """A Redis that copies another one."""

    def __init__(self, master: PrivateRedis) -> None:
        super().__init__()
        self._master = master

    def _settings(self) -> Mapping[str, object]:
        return {**super()._settings(), "replicaof": f"{self._master.host} {self._master.port}"}


class PrivateSentinel(PrivateRedis):
    """A sentinel that watches one master under the name :attr:`service`.

    Args:
        master: to watch.
        quorum: how many sentinels must hold the master for dead.
        patience: seconds of silence after which this one does.
    """

    service = "shop"

    def __init__(self, master: PrivateRedis, *, quorum: int = 1, patience: float = 30.0) -> None:
        super().__init__()
        self._master = master
        self._quorum = quorum
        self._patience = patience

    def _fill(self) -> None:
        super()._fill()
        # It writes what it learns into this file.
        self._file = self.data / "sentinel.conf"
        self._file.write_text(
            f"port {self.port}\nbind {self.host}\ndir {self.data}\n"
            f"sentinel monitor {self.service} {self._master.host} {self._master.port} {self._quorum}\n"
            f"sentinel down-after-milliseconds {self.service} {self._patience * 1000:.0f}\n"
            f"sentinel failover-timeout {self.service} 2000\n"
        )
        if self._run_as is not None:
            os.chown(self._file, pwd.getpwnam(self._run_as).pw_uid, -1)

    def _command(self) -> Sequence[str]:
        return [find_program("redis-server", self.package), str(self._file), "--sentinel"]


class PrivateRedisSentinel:
    """A master, a replica and three sentinels.

    Attributes:
        master: the one that is the master at first.
        replica: its successor.
        sentinels: who see to it.
        service: what the sentinels call the two.
    """

    service = PrivateSentinel.service

    def __init__(self, master: PrivateRedis, replica: PrivateRedis, sentinels: Sequence[PrivateSentinel]) -> None:
        self.master = master
        self.replica = replica
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """The URL of the master's first database, by way of the sentinels."""
        return ";".join(f"sentinel://{one.host}:{one.port}/0" for one in self.sentinels)

    def await_replica(self) -> None:
        """Wait until the replica has all that the master has been told so far."""
        with Redis(port=self.master.port) as client:
            awaited(lambda: _in_step(client), "the replica did not follow")

    def await_successor(self) -> None:
        """Wait until a sentinel names the replica as the master."""
        with Redis(port=self.sentinels[0].port) as sentinel:
            awaited(lambda: self._named(sentinel) == self.replica.port, "no sentinel named another master")

    def _named(self, sentinel: Redis) -> int:
        return int(sentinel.sentinel_get_master_addr_by_name(self.service)[1])

    def _settled(self, sentinel: Redis) -> bool:
        state = sentinel.sentinel_master(self.service)
        return bool(state["num-other-sentinels"] == len(self.sentinels) - 1 and state["num-slaves"] == 1)


def _in_step(client: Redis) -> bool:
    told = client.info("replication")
    replica = told.get("slave0")
    return replica is not None and replica["state"] == "online" and replica["offset"] == told["master_repl_offset"]


@contextmanager
def private_redis_sentinel(*, patience: float = 30.0) -> Iterator[PrivateRedisSentinel]:
    """Run a master, a replica and three sentinels that know one another, for the time of a ``with`` block.

    Args:
        patience: seconds of silence after which a sentinel holds the master for dead.
    """
    with ExitStack() as stack:
        master = stack.enter_context(running(PrivateRedis()))
        replica = stack.enter_context(running(PrivateReplica(master)))
        sentinels = [
            stack.enter_context(running(PrivateSentinel(master, quorum=2, patience=patience))) for _ in range(3)
        ]
        made = PrivateRedisSentinel(master, replica, sentinels)
        made.await_replica()
        for one in sentinels:
            with Redis(port=one.port) as client:
                awaited(lambda client=client: made._settled(client), "the sentinels do not find one another")  # type: ignore[misc]  # bound
        yield made
