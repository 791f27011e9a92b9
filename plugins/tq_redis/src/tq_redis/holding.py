"""What one fence holds, and how it ends: the part a consumer and a successor have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from tq_core.contracts.broker import Ack, Bury, Park, Requeue, Settlement
from tq_core.errors import BrokerUnavailable
from tq_core.message import Delivery, Message
from tq_redis.envelope import message_of
from tq_redis.publishing import Outgoing
from tq_redis.server import BEGIN, RELEASE, Server

#: A delivery's tag: the life it was taken in, the tag in Redis, and at which reception it was handed out.
Tag = tuple[int, str, int]

#: Envelope, tag in Redis, earlier deliveries, queue, and whether it was begun by somebody who died.
Received: TypeAlias = tuple[bytes, bytes, int, str, bool]

#: The most tags one call of begin.lua takes.
_MOST = 1000


class Holding:
    """The messages that carry one fence. Belongs to one thread.

    Args:
        server: where they are.
        name: of the consumer.
        fence: the registration they belong to.
        outgoing: prepares follow-ups.

    Attributes:
        doubtful: True after a call that changed what is held and was never answered. It may have been carried out, or
            may still be: a network can hold back what it was given and deliver it later.
    """

    def __init__(self, server: Server, name: str, fence: int, outgoing: Outgoing) -> None:
        self._server = server
        self._name = name
        self._life = fence
        self.doubtful = False
        self._outgoing = outgoing
        self._numbers: dict[str, int] = {}
        self._number = 0
        self.fence = fence

    @property
    def number(self) -> int:
        """The number of the latest reception; those of a claim follow it."""
        return self._number

    def adopt(self, received: Iterable[Received]) -> list[Delivery]:
        """Make deliveries of what was claimed or inherited, in the order of its reception."""
        life, numbers, number = self._life, self._numbers, self._number
        deliveries = []
        for raw, name, earlier, queue, orphaned in received:
            number += 1
            tag = name.decode()
            numbers[tag] = number
            count = earlier + 1
            defect = None
            try:
                read: Message | None = message_of(raw, queue)
                rest = b""
            except ValueError as error:
                read, defect, rest = None, str(error), raw
            again = count > 1 or orphaned or (read is not None and "redelivered" in read.headers)
            deliveries.append(Delivery((life, tag, number), queue, read, defect, rest, count, again, orphaned))
        self._number = number
        return deliveries

    def begin(self, tags: Sequence[Any]) -> None:
        """Note that these are being run."""
        self.make_sure()
        held = self._held(tags)
        for first in range(0, len(held), _MOST):
            self._server.run(BEGIN, self.fence, *held[first : first + _MOST])

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        """See :meth:`tq_core.contracts.broker.Consumer.settle`."""
        lost: list[Any] = []
        acks: list[str] = []
        requeues: list[str] = []
        uncounted: list[str] = []
        parks: list[Any] = []
        buries: list[Any] = []
        given: dict[str, Any] = {}
        for settlement in settlements:
            tag = settlement.tag
            name = tag[1]
            if tag[0] != self._life or self._numbers.get(name) != tag[2] or name in given:
                lost.append(tag)
                continue
            given[name] = tag
            if isinstance(settlement, Ack):
                acks.append(name)
            elif isinstance(settlement, Requeue):
                (uncounted if settlement.uncounted else requeues).append(name)
            elif isinstance(settlement, Park):
                parks += (name, settlement.until)
            elif isinstance(settlement, Bury):
                buries += (name, _text(settlement.reason), _text(settlement.traceback or ""))
        if given or follow_ups:
            arguments: list[Any] = [len(acks), *acks, len(requeues), *requeues, len(uncounted), *uncounted]
            sent = self._outgoing.routed(follow_ups)
            arguments += [len(parks) // 2, *parks, len(buries) // 3, *buries, len(sent)]
            for message in sent:
                arguments += self._outgoing.arguments(message)
            lost += [given[tag.decode()] for tag in self._settle(arguments)]
            for name in given:
                self._numbers.pop(name, None)
        return lost

    def _held(self, tags: Iterable[Any]) -> list[str]:
        return [tag[1] for tag in tags if tag[0] == self._life and self._numbers.get(tag[1]) == tag[2]]

    def _settle(self, arguments: Sequence[Any]) -> list[bytes]:
        self.make_sure()
        try:
            return self._server.settle(self.fence, arguments)
        except BrokerUnavailable:
            self.doubtful = True
            raise

    def make_sure(self) -> None:
        """After a doubtful call, go on under a new fence, and return what was claimed and never read.

        The new fence makes sure that nothing sent under the old one is carried out from now on.
        """
        if not self.doubtful:
            return
        self.fence = self._server.inherit(self._name, self._name)
        names: list[bytes] = self._server.link.call("HKEYS", self._server.keys.held(self.fence))
        unknown = [name for name in names if name.decode() not in self._numbers]
        if unknown:
            self._server.settle(self.fence, [0, 0, len(unknown), *unknown, 0, 0, 0])
        self.doubtful = False

    def start_anew(self, queues: Sequence[str]) -> None:
        """Register again after having been fenced; what was held is lost."""
        self.drop()
        self._life = self.fence = self._server.register(self._name, queues)
        self.doubtful = False

    def give_back(self, *, counted: bool) -> None:
        """End the registration and return everything."""
        self._server.run(RELEASE, self.fence, "1" if counted else "0")
        self.drop()

    def drop(self) -> None:
        """Forget every hand-over, so that their tags count as lost."""
        self._numbers.clear()


def _text(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
