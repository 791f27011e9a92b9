"""Tells what may be handed out from what was fetched too early, or was lost by another consumer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from time import monotonic

from tq_amqp.connection import Link
from tq_amqp.delays import SHORTEST
from tq_amqp.envelope import BEGUN, HOLDER, rewrite
from tq_amqp.holding import Holding, Move
from tq_amqp.keeping import Keep
from tq_amqp.lane import Lane, Taken
from tq_amqp.topology import Topology

#: A message due within this many seconds is handed out.
_ALMOST = 0.001


class Sieve:
    """Sifts what one consumer fetched. Belongs to its thread.

    Args:
        link: the way to RabbitMQ.
        topology: knows who receives.
        keep: what the consumer keeps for itself.
        holding: acknowledges.
        move: puts messages elsewhere.
    """

    def __init__(
        self, link: Link, topology: Topology, keep: Keep, holding: Holding, move: Callable[[Sequence[Move]], None]
    ) -> None:
        self._link = link
        self._topology = topology
        self._keep = keep
        self._holding = holding
        self._move = move
        self._soon: list[tuple[float, int, Taken]] = []
        self._serial = itertools.count(1).__next__

    def sift(self, fetched: Sequence[Taken]) -> list[Taken]:
        """Return what is to be handed out, and put the rest where it belongs.

        Raises:
            BrokerUnavailable, BrokerError, Refused, Broken: it cannot be put there.
        """
        now = time.time()
        fine: list[Taken] = []
        aside: list[Move] = []
        for one in fetched:
            own = one.read.own
            if not own and not one.suspect:
                fine.append(one)
            elif BEGUN in own and self._lives(one):
                continue
            elif one.suspect and one.movable:
                # Its holder died. It is counted in a copy: the broker itself counts nothing.
                aside.append(Move(one, one.count + 1))
            elif one.due > now + _ALMOST and one.movable:
                if one.due - now < SHORTEST / 1000:
                    heappush(self._soon, (one.due, self._serial(), one))
                else:
                    aside.append(Move(one, one.count, one.due))
            else:
                fine.append(one)
        if aside:
            self._move(aside)
        return fine

    def _lives(self, one: Taken) -> bool:
        """Return an orphan to its holder, if that lives after all: its connection, or the broker, was away.

        Returns:
            whether it was returned.
        """
        holder = one.read.own.get(HOLDER)
        if not isinstance(holder, str):
            return False
        if holder == self._keep.name:
            self._keep.collect()
            alive = one.serial in self._keep
        else:
            alive = self._topology.is_consumed(holder)
        if alive and one.read.message is not None and one.movable:
            copy = holder, one.lane.front, rewrite(one.read.properties, one.read.own), one.read.message.body
            self._link.publish([copy], monotonic() + self._link.options.answer_timeout)
            self._holding.ack([one])
        return alive

    # what waits here for its last milliseconds

    def ripe(self, room: int) -> list[Taken]:
        """Return up to ``room`` messages that were waited for here and are due now."""
        now = time.time() + _ALMOST
        ripe: list[Taken] = []
        while self._soon and self._soon[0][0] <= now and len(ripe) < room:
            ripe.append(heappop(self._soon)[2])
        return ripe

    def due_in(self) -> float | None:
        """Return the seconds until the next one is due, None when none waits."""
        return max(0.0, self._soon[0][0] - time.time()) if self._soon else None

    def waiting(self) -> list[Taken]:
        """Return those that wait here. May be called from any thread."""
        return [entry[2] for entry in list(self._soon)]

    def forget(self, lane: Lane | None = None) -> None:
        """Forget those of a lane that was lost, or all of them."""
        self._soon = [entry for entry in self._soon if lane is not None and entry[2].lane is not lane]
        heapify(self._soon)
