"""Connections that find out whom to connect to: the master that sentinels name, or a node of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from redis import Connection, SSLConnection
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.sentinel import Sentinel

from tq_redis.topology import Place, Topology

#: Answers by which a server says that it did not carry out the command, because another one has to, or will soon.
#: ASK is never followed with a script of the broker: ADR 13 tells why.
ELSEWHERE = (ReadOnlyError, AskError, TryAgainError, ClusterDownError)  # MOVED is an AskError to redis-py

#: The same from a master that has lost its replicas, for which redis-py has no class.
LONELY = "NOREPLICAS"


def not_here(error: ResponseError) -> bool:
    """Tell whether a server says that it did not carry out the command, and another or a later try may succeed."""
    return isinstance(error, ELSEWHERE) or str(error).startswith(LONELY)


class Guide(Protocol):
    """Knows where connections lead. Any thread."""

    def known(self) -> Place | None:
        """Return the place as it was the last time, or None where it has to be looked up."""

    def look(self) -> Place:
        """Look the place up.

        Raises:
            redis.exceptions.RedisError: nobody knows.
        """

    def forget(self, error: Exception) -> None:
        """Take note that the place that was known may be the wrong one, because of ``error``."""


class LedConnection(Connection):
    """A connection whose host and port are found out each time it is connected.

    Args:
        guide: knows them.
        options: redis-py's.
    """

    def __init__(self, guide: Guide, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py's
        self._guide = guide

    def connect(self) -> None:
        """Connect; a place that was known and does not answer any more is looked up again."""
        if self._sock is not None:
            return
        known = self._guide.known()
        if known is not None:
            try:
                self._connect_to(known)
            except (RedisError, OSError) as error:
                self._guide.forget(error)
                # Silence has cost the time that a caller has already.
                if isinstance(error, RedisTimeout):
                    raise
            else:
                return
        place = self._guide.look()
        try:
            self._connect_to(place)
        except (RedisError, OSError) as error:
            self._guide.forget(error)
            raise

    def _connect_to(self, place: Place) -> None:
        self.host, self.port = place
        super().connect()  # type: ignore[no-untyped-call]  # redis-py's

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read an answer; one that says that the place is the wrong one is told to the guide."""
        try:
            return super().read_response(*args, **options)
        except (RedisConnectionError, RedisTimeout, *ELSEWHERE) as error:
            self._guide.forget(error)
            raise


class LedTLSConnection(LedConnection, SSLConnection):
    """The same with TLS."""


class SentinelGuide:
    """Leads to the master that sentinels name. They are asked for every connection.

    Args:
        sentinel: redis-py's.
        service: what the sentinels call the master and its replicas.
        known_as: turns the place that they name into the one it is reached at from here.
    """

    def __init__(self, sentinel: Sentinel, service: str, known_as: Callable[[Place], Place]) -> None:
        self._sentinel = sentinel
        self._service = service
        self._known_as = known_as

    def known(self) -> Place | None:
        return None

    def look(self) -> Place:
        host, port = self._sentinel.discover_master(self._service)  # type: ignore[no-untyped-call]  # redis-py's
        return self._known_as((host, int(port)))

    def forget(self, error: Exception) -> None:
        pass


class SlotGuide:
    """Leads to the master of one slot.

    Args:
        topology: of the cluster.
        slot: its number.
    """

    def __init__(self, topology: Topology, slot: int) -> None:
        self._topology = topology
        self._slot = slot

    def known(self) -> Place | None:
        view = self._topology.known()
        return None if view is None else view.master(self._slot)

    def look(self) -> Place:
        self._topology.look()
        return self._topology.master(self._slot)

    def forget(self, error: Exception) -> None:
        self._topology.forget(error)


class AnyNodeGuide:
    """Leads to a node of a cluster that answers, whichever it is; messages of pub/sub reach all of them.

    Args:
        topology: of the cluster.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    def known(self) -> Place | None:
        return None

    def look(self) -> Place:
        return self._topology.look().teller

    def forget(self, error: Exception) -> None:
        self._topology.forget(error)
