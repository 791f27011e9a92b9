"""Talks to all nodes of a Redis Cluster: each command goes to the master of its key's slot, all nodes side by side."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from redis.exceptions import AskError, MovedError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from tq_core.errors import TQError
from tq_redis.address import Address, tls_options
from tq_redis.connecting import Wire, any_node, node_of, topology_of
from tq_redis.leading import not_here
from tq_redis.link import Broken, Command, Link
from tq_redis.options import ConnectionOptions
from tq_redis.slots import slot_of
from tq_redis.topology import Place

#: Seconds for which commands are sent again to nodes that say "not here" or "not now", and between two tries: slots
#: move from node to node one by one, each in a moment.
HANDOVER, TRY_EVERY = 1.0, 0.02

#: Commands whose key does not stand first.
_SCRIPTS = frozenset({"EVALSHA", "EVAL"})


class _Parcel(NamedTuple):
    """What goes to one node in one round trip.

    Attributes:
        link: the way to the node.
        places: where in the caller's list each command stands; None for one that is not the caller's.
        commands: in the order they are sent.
    """

    link: Link
    places: list[int | None]
    commands: list[Command]


class ClusterLink(Link):
    """The way to all nodes of a cluster, with the verbs of :class:`~tq_redis.link.Link`.

    Every command names a key, and all keys of one command lie in one slot; see :meth:`together`. Connections of
    :meth:`open` lead to any node that answers.
    """

    def __init__(
        self, address: Address, options: ConnectionOptions, *, unavailable: type[TQError], refused: type[TQError]
    ) -> None:
        self._topology = topology_of(address, options)
        self._nodes: dict[Place, Link] = {}
        super().__init__(
            address,
            options,
            unavailable=unavailable,
            refused=refused,
            make=any_node(self._topology, address, options),
        )

    def greet(self) -> None:
        """Have the master of every slot answer."""
        try:
            masters = dict.fromkeys(self._topology.look().masters)
        except (RedisError, OSError) as error:
            raise self.broken(error) from error
        for place in masters:
            self._node(place).greet()

    def together(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        by_slot: dict[int, list[int]] = {}
        for place, key in enumerate(keys):
            by_slot.setdefault(slot_of(key), []).append(place)
        return list(by_slot.values())

    def attempt(self, commands: Sequence[Command], *, again: bool = True) -> list[Any]:
        answers: list[Any] = [None] * len(commands)
        left: Sequence[int] = range(len(commands))
        asked: dict[int, Place] = {}
        deadline = time.monotonic() + HANDOVER
        broke = hurried = False
        while True:
            refused, broken = self._round(commands, left, asked, answers)
            if not refused and not broken:
                return answers
            for error in broken.values():
                if broke or (error.sent and not again) or isinstance(error.__cause__, RedisTimeout):
                    raise error
            if refused and time.monotonic() >= deadline:
                error_of_one = next(iter(refused.values()))
                raise Broken(self._told(error_of_one), sent=len(refused) < len(commands)) from error_of_one
            if broken:
                broke = True
                self._topology.forget()
            asked = self._learn(refused)
            if hurried and len(asked) < len(refused):
                time.sleep(TRY_EVERY)
            hurried = True
            left = sorted([*refused, *broken])

    def _round(
        self, commands: Sequence[Command], left: Iterable[int], asked: dict[int, Place], answers: list[Any]
    ) -> tuple[dict[int, ResponseError], dict[int, Broken]]:
        """Send the commands at the places ``left``, and fill in their answers.

        Returns:
            by place, who said "not here", and what did not come through.
        """
        refused: dict[int, ResponseError] = {}
        broken: dict[int, Broken] = {}
        underway: deque[tuple[_Parcel, Wire]] = deque()
        try:
            # Everything is sent before anything is read, so that the nodes work side by side.
            for parcel in self._parcels(commands, left, asked):
                wire = parcel.link._connection()
                try:
                    parcel.link._send(wire, parcel.commands)
                except Broken as error:
                    broken |= {place: error for place in parcel.places if place is not None}
                else:
                    underway.append((parcel, wire))
            while underway:
                parcel, wire = underway.popleft()
                try:
                    told, _ = parcel.link._receive(wire, len(parcel.commands))
                except Broken as error:
                    broken |= {place: error for place in parcel.places if place is not None}
                    if isinstance(error.__cause__, RedisTimeout):
                        break  # the others had as much time
                    continue
                for place, answer in zip(parcel.places, told, strict=True):
                    if place is None:
                        continue
                    if isinstance(answer, ResponseError) and not_here(answer):
                        refused[place] = answer
                    else:
                        answers[place] = answer
        finally:
            for _, wire in underway:  # answers that nobody read would be taken for those of the next command
                wire.disconnect()
        return refused, broken

    def _parcels(
        self, commands: Sequence[Command], left: Iterable[int], asked: dict[int, Place]
    ) -> Collection[_Parcel]:
        parcels: dict[Place, _Parcel] = {}
        try:
            for place in left:
                command = commands[place]
                node = asked.get(place)
                target = node or self._topology.master(slot_of(command[3 if command[0] in _SCRIPTS else 1]))
                parcel = parcels.get(target)
                if parcel is None:
                    parcel = parcels[target] = _Parcel(self._node(target), [], [])
                if node is not None:
                    parcel.places.append(None)
                    parcel.commands.append(("ASKING",))
                parcel.places.append(place)
                parcel.commands.append(command)
        except (RedisError, OSError) as error:
            raise Broken(self._told(error), sent=False) from error
        return parcels.values()

    def _learn(self, refused: dict[int, ResponseError]) -> dict[int, Place]:
        """Return which commands another node will carry out when it is asked to, in the middle of a slot's move."""
        asked: dict[int, Place] = {}
        for place, error in refused.items():
            if isinstance(error, AskError) and not isinstance(error, MovedError) and error.host:
                asked[place] = self.options.remapped((error.host, error.port))
            else:
                self._topology.forget(error)
        return asked

    def _node(self, place: Place) -> Link:
        link = self._nodes.get(place)
        if link is None:
            address = node_of(self.address, place)
            made = Link(address, self.options, unavailable=self._unavailable, refused=self._refused)
            link = self._nodes.setdefault(place, made)
        return link

    def close(self) -> None:
        for link in list(self._nodes.values()):
            link.close()
        super().close()


def open_spread_link(
    address: Address, options: ConnectionOptions, tls: Any, *, unavailable: type[TQError], refused: type[TQError]
) -> Link:
    """Open the link for keys that may lie in any slot; the arguments are those of :func:`~tq_redis.link.open_link`."""
    kind = ClusterLink if address.cluster else Link
    with_tls = replace(options, ssl={**tls_options(tls), **options.ssl})
    return kind(address, with_tls, unavailable=unavailable, refused=refused)
