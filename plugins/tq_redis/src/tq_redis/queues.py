"""The queues themselves: which there are, how full, paused or not."""

from __future__ import annotations

from tq_core.contracts.broker import QueueDepth
from tq_core.message import Delivery, Message
from tq_redis.envelope import age_of, message_of
from tq_redis.server import DEPTH, MOVE, PEEK, PURGE, Server

#: Messages moved by one run of the script: others have their turn in between.
_MOVED_AT_ONCE = 500


class Queues:
    """The queues of one Redis. Any thread."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def names(self) -> list[str]:
        """Return the names of the queues that tq has seen, sorted."""
        return sorted(name.decode() for name in self._server.link.call("SMEMBERS", self._server.keys.queues))

    def depth(self, name: str) -> QueueDepth:
        """Count a queue's messages. The age is known of messages that tq wrote."""
        ready, parked, held, heads = self._server.run(DEPTH, name, *self._server.steps)
        ages = [age for head in heads if (age := age_of(head)) is not None]
        return QueueDepth(ready, parked, held, max(ages, default=None))

    def peek(self, name: str, limit: int) -> list[Delivery]:
        """Look at ready, then parked messages."""
        ready, parked = self._server.run(PEEK, name, limit, *self._server.steps)
        looked = [_delivery_of(name, raw, None) for raw in ready]
        looked += [_delivery_of(name, parked[at], float(parked[at + 1])) for at in range(0, len(parked), 2)]
        return looked

    def purge(self, name: str) -> int:
        """Drop ready and parked messages; return how many."""
        dropped: int = self._server.run(PURGE, name, *self._server.steps)
        return dropped

    def move(self, source: str, target: str, limit: int | None) -> int:
        """Put waiting messages into another queue; return how many."""
        if source == target:
            return 0
        depth = self.depth(source)
        wanted = depth.ready + depth.parked
        if limit is not None:
            wanted = min(wanted, limit)
        moved = 0
        while moved < wanted:
            most = min(wanted - moved, _MOVED_AT_ONCE)
            step: int = self._server.run(MOVE, source, target, most, *self._server.steps, again=False)
            if not step:
                break
            moved += step
        return moved

    def pause(self, name: str) -> None:
        """Hand out nothing from a queue."""
        self._server.link.call("SADD", self._server.keys.paused, name)

    def resume(self, name: str) -> None:
        """End a pause, and wake who waits."""
        keys = self._server.keys
        self._server.link.calls([("SREM", keys.paused, name), ("PUBLISH", keys.wake(name), "")])

    def paused(self) -> list[str]:
        """Return the names of paused queues, sorted."""
        return sorted(name.decode() for name in self._server.link.call("SMEMBERS", self._server.keys.paused))


def _delivery_of(name: str, raw: bytes, due: float | None) -> Delivery:
    read: Message | None = None
    defect, rest = None, b""
    try:
        read = message_of(raw, name, due)
    except ValueError as error:
        defect, rest = str(error), raw
    return Delivery(None, name, read, defect, rest, 0)
