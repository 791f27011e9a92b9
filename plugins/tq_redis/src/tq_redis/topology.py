"""Which node of a Redis Cluster is the master of which slot, as the cluster itself tells it."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from redis.exceptions import AskError, AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

#: Host and port.
Place = tuple[str, int]


class Asked(Protocol):
    """What is needed of a connection to a node that is asked."""

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def pack_command(self, *command: Any) -> Any: ...
    def send_packed_command(self, packed: Any) -> None: ...
    def read_response(self) -> Any: ...


class View(NamedTuple):
    """What one node told.

    Attributes:
        ends: last slot of each range, ascending.
        starts: the first slot of each.
        masters: the master of each.
        places: every node that was named, replicas included.
        teller: the node that was asked.
    """

    ends: Sequence[int]
    starts: Sequence[int]
    masters: Sequence[Place]
    places: frozenset[Place]
    teller: Place

    def master(self, slot: int) -> Place | None:
        """Return the master of a slot, or None when no node serves it."""
        at = bisect_left(self.ends, slot)
        return self.masters[at] if at < len(self.ends) and self.starts[at] <= slot else None


class Topology:
    """The nodes of a cluster. Any thread, and after a fork any process: it has no lock and keeps no connection.

    Args:
        start: nodes to ask at first.
        make: makes a connection to a node, not connected yet, that gives up soon.
        known_as: turns the place that the cluster names into the one it is reached at from here.
    """

    def __init__(
        self, start: Sequence[Place], make: Callable[[Place], Asked], known_as: Callable[[Place], Place]
    ) -> None:
        self._start = tuple(start)
        self._make = make
        self._known_as = known_as
        self._view: View | None = None
        self._places: frozenset[Place] = frozenset(start)
        # Those who did not answer the last time are asked last, and one that has just spoken is asked first.
        self._silent: frozenset[Place] = frozenset()
        self._hint: Place | None = None

    def known(self) -> View | None:
        """Return what was told last, unless it was found to be wrong since."""
        return self._view

    def forget(self, error: Exception | None = None) -> None:
        """Have the topology asked for anew the next time, after ``error`` showed that it may have changed."""
        self._view = None
        if isinstance(error, AskError) and error.host:
            self._hint = self._known_as((error.host, error.port))

    def look(self) -> View:
        """Ask one node after the other until one tells.

        Raises:
            redis.exceptions.RedisError: none of them does; or the user or password is refused.
        """
        error: Exception | None = None
        for place in self._order():
            try:
                view = self._ask(place)
            except AuthenticationError:
                raise
            except (RedisError, OSError) as failure:
                error = failure
                self._silent |= {place}
                continue
            self._silent -= {place}
            self._hint = None
            self._places = view.places | set(self._start)
            self._view = view
            return view
        raise RedisConnectionError(f"no node tells the cluster's topology; the last one: {error}")

    def master(self, slot: int) -> Place:
        """Return the master of a slot, asking where nothing is known.

        Raises:
            redis.exceptions.RedisError: nobody tells, or no node serves the slot.
        """
        view = self._view or self.look()
        found = view.master(slot)
        if found is None:
            self._view = None
            raise RedisConnectionError(f"no node of the cluster serves slot {slot}")
        return found

    def _order(self) -> Iterator[Place]:
        places = list(self._places)
        random.shuffle(places)
        places.sort(key=lambda place: (place != self._hint, place in self._silent))
        return iter(places)

    def _ask(self, place: Place) -> View:
        wire = self._make(place)
        try:
            wire.connect()
            wire.send_packed_command(wire.pack_command("CLUSTER", "SLOTS"))
            told = wire.read_response()
        finally:
            wire.disconnect()
        if not told:
            raise RedisConnectionError(f"{place[0]}:{place[1]} knows of no slot; is it part of the cluster?")
        return self._viewed(told, place)

    def _viewed(self, told: Sequence[Any], teller: Place) -> View:
        """Read the answer of CLUSTER SLOTS: first slot, last slot, master, replicas of each range."""
        ranges = sorted((last, first, [self._place(node, teller) for node in nodes]) for first, last, *nodes in told)
        return View(
            ends=[last for last, _, _ in ranges],
            starts=[first for _, first, _ in ranges],
            masters=[nodes[0] for _, _, nodes in ranges],
            places=frozenset(place for _, _, nodes in ranges for place in nodes),
            teller=teller,
        )

    def _place(self, node: Sequence[Any], teller: Place) -> Place:
        # Without a host, or a host name that it was not told, the node is to be found where the one that tells is.
        host = node[0].decode() if node[0] else ""
        return self._known_as((host, node[1])) if host not in {"", "?"} else (teller[0], node[1])
