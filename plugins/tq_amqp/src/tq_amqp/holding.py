"""How what was taken ends: the part a consumer and a successor have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from tq_amqp.channel import together
from tq_amqp.connection import Link, Parcel
from tq_amqp.dead_letters import Cemetery
from tq_amqp.envelope import BEGUN, COPY, COUNT, DUE, HOLDER, SERIAL, rewrite
from tq_amqp.lane import Lane, Taken, in_order
from tq_amqp.publishing import Outgoing
from tq_amqp.topology import Topology
from tq_core.contracts.broker import Ack, Bury, Park, Requeue, Settlement
from tq_core.message import Message


@dataclass(frozen=True, slots=True)
class Move:
    """A message that is to stand elsewhere.

    Attributes:
        taken: the message.
        count: deliveries it has from now on.
        due: Unix time in seconds until when it waits; None for the front of its queue.
        orphaned: its holder had begun it and does not end it.
    """

    taken: Taken
    count: int
    due: float | None = None
    orphaned: bool = False


class Holding:
    """Gives messages their endings. Belongs to one thread.

    Args:
        link: the way to RabbitMQ.
        topology: makes queues.
        outgoing: publishes what follows, and copies.
        cemetery: takes what is buried.
    """

    def __init__(self, link: Link, topology: Topology, outgoing: Outgoing, cemetery: Cemetery) -> None:
        self._link = link
        self._topology = topology
        self._outgoing = outgoing
        self._cemetery = cemetery

    def end(self, endings: Sequence[tuple[Settlement, Taken]], follow_ups: Sequence[Message] = ()) -> None:
        """Publish what follows and the copies of what does not end here; then acknowledge.

        Raises:
            PublishError, BrokerUnavailable, BrokerError: nothing was acknowledged, some may have been published.
            Refused, Broken: it is not known what was acknowledged.
        """
        parcels: list[Parcel] = [self._outgoing.parcel(message) for message in follow_ups]
        ids = [message.id for message in follow_ups]
        copied = [(ending, taken) for ending, taken in endings if not isinstance(ending, Ack)]
        by_taken = {id(taken): ending for ending, taken in copied}
        for one in in_order([taken for _, taken in copied]):
            ending = by_taken[id(one)]
            if isinstance(ending, Bury):
                parcels.append(self._cemetery.parcel(one, ending))
            elif not one.movable:
                one.lane.reject(one.number)  # it cannot be copied
                continue
            elif isinstance(ending, Park):
                parcels.append(self._copy(Move(one, one.count, ending.until)))
            elif isinstance(ending, Requeue):
                parcels.append(self._copy(Move(one, one.count if ending.uncounted else one.count + 1)))
            ids.append(one.identity)
        if parcels:
            self._outgoing.send(parcels, ids)
        # With a copy or a follow-up elsewhere, an acknowledgement that is lost would leave a task there twice.
        self.ack([taken for _, taken in endings], awaited=bool(parcels))

    def move(self, moves: Sequence[Move]) -> None:
        """Put messages elsewhere; raises like :meth:`end`."""
        self._outgoing.send([self._copy(move) for move in moves], [move.taken.identity for move in moves])
        self.ack([move.taken for move in moves], awaited=True)

    def _copy(self, move: Move) -> Parcel:
        one = move.taken
        message = one.read.message
        assert message is not None
        own: dict[str, Any] = {name: value for name, value in one.read.own.items() if name not in (HOLDER, SERIAL)}
        own[COPY] = True
        if move.count:
            own[COUNT] = move.count
        key = self._topology.ensure_front(one.queue)
        if move.orphaned:
            own[BEGUN] = True
        if move.due is not None:
            own[DUE] = int(move.due * 1000)
            key = self._outgoing.delays.route(one.queue, move.due) or key
        return "", key, rewrite(one.read.properties, own), message.body

    def ack(self, done: Iterable[Taken], *, awaited: bool = False) -> None:
        """Acknowledge.

        Args:
            done: what has ended.
            awaited: return once the broker has carried it out, a round trip later. Without it, whatever is asked of
                the broker next comes after this, but a process that is killed now may take the word with it.

        Raises:
            Refused, Broken: the broker cannot hear it.
        """
        by_lane: dict[int, tuple[Lane, list[int]]] = {}
        for one in done:
            by_lane.setdefault(id(one.lane), (one.lane, []))[1].append(one.number)
        for lane, numbers in by_lane.values():
            lane.channel.check()
            lane.ack(numbers)
        deadline = monotonic() + self._link.options.answer_timeout
        channels = [lane.channel for lane, _ in by_lane.values()]
        if awaited:
            together(channels, deadline)
            return
        for channel in channels:
            channel.wire.flush(deadline)
