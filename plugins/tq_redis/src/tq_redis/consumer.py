"""Takes messages, and waits for them without asking all the time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, repeat
from math import inf
from typing import Any, NamedTuple

from tq_core.contracts.broker import Consumer, Settlement
from tq_core.errors import BrokerError, BrokerUnavailable
from tq_core.message import Delivery, Message
from tq_redis.holding import Holding, Received
from tq_redis.link import Broken
from tq_redis.server import CLAIM, TEND, Server
from tq_redis.waiting import Watch

logger = logging.getLogger(__name__)

#: Most seconds between two looks at the other consumers.
TEND_EVERY = 1.0

#: The most messages one claim takes; the server serves nobody else meanwhile.
MOST = 1000


class _Outlook(NamedTuple):
    """What a claim saw that left nothing behind; holds until something is heard.

    Attributes:
        due_at: monotonic seconds at which the next message is due.
        shut: names of queues from which nothing can be taken.
    """

    due_at: float
    shut: Sequence[str]


class RedisConsumer(Consumer):
    """A consumer of some queues.

    Args:
        server: where the queues are.
        holding: keeps account of what was taken.
        queues: names.
    """

    def __init__(self, server: Server, holding: Holding, queues: Sequence[str]) -> None:
        self._server = server
        self._holding = holding
        self._lease = server.options.lease_duration
        self._watch = Watch(server.link)
        self._first = 0
        self._outlook: _Outlook | None = None
        self._shut: tuple[str, ...] = ()
        self._woken = False
        self._closed = False
        self._renewed_at = self._tended_at = time.monotonic()
        self._look_at(queues)

    def _look_at(self, queues: Sequence[str]) -> None:
        keys, steps = self._server.keys, self._server.steps
        self._queues = list(dict.fromkeys(queues))
        # Starting at another queue each time keeps a full one from starving the others.
        self._turns = [self._queues[n:] + self._queues[:n] for n in range(len(self._queues))]
        self._claims = [(len(steps), *steps, *turn) for turn in self._turns]
        self._lists = {queue: keys.lists_of(queue) for queue in self._queues}
        self._channels = [keys.wake(queue) for queue in self._queues]

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        deadline = time.monotonic() + timeout
        try:
            self._attend()
            if timeout <= 0 or not self._nothing_new():
                taken = self._take(limit)
                if taken or timeout <= 0:
                    return taken
            return self._wait(limit, deadline)
        except BrokerUnavailable:
            self._outlook = None
            self._watch.drop()  # its connections broke with the others, or will be found broken one by one
            raise

    def _nothing_new(self) -> bool:
        """Tell whether another claim would find no more than the last one left: nothing."""
        outlook = self._outlook
        return outlook is not None and not self._holding.doubtful and time.monotonic() < outlook.due_at

    def _wait(self, limit: int, deadline: float) -> list[Delivery]:
        # It listens before it looks, so that nothing happens unheard in between.
        if self._channels:
            self._watch.listen(self._channels)
        while not self._woken:
            if not self._nothing_new():
                taken = self._take(limit)
                if taken:
                    return taken
            now = time.monotonic()
            due_at, shut = self._outlook or _Outlook(inf, ())
            rest = deadline - now
            if rest <= 0:
                return []
            rest = min(rest, max(0.001, due_at - now), self._tended_at + self._pace() - now)
            lists = [name for queue in self._queues if queue not in shut for name in self._lists[queue]]
            heard = self._watch.wait(lists, rest)
            if heard.news:
                self._outlook = None
            if heard.woken:
                break
            self._attend()
        self._woken = False
        return []

    def _pace(self) -> float:
        return min(TEND_EVERY, self._lease / 4)

    def _attend(self) -> None:
        now = time.monotonic()
        if now - self._tended_at >= self._pace():
            self._tend(renew=now - self._renewed_at >= self._lease / 4)

    def _tend(self, *, renew: bool) -> None:
        self._tended_at = time.monotonic()
        self._outlook = None  # should anything ever have gone unheard, it is found within a second
        options, steps = self._server.options, self._server.steps
        flag = "1" if renew else "0"
        expire = int(options.unacked_mutex_expire)
        alive = self._server.run(
            TEND, self._holding.fence, self._lease, flag, expire, len(steps), *steps, *self._queues
        )
        if not alive:
            self._start_anew()
        elif renew:
            self._renewed_at = self._tended_at

    def _start_anew(self) -> None:
        # Fenced while it slept: what it held is somebody else's now.
        self._holding.start_anew(self._queues)
        self._renewed_at = self._tended_at = time.monotonic()

    def _take(self, limit: int) -> list[Delivery]:
        """Return what could be taken; where that is all there is, note what there is to wait for."""
        listening = self._watch.listening
        self._outlook = None
        if not self._queues:
            return []
        self._holding.make_sure()
        self._first = turn = (self._first + 1) % len(self._queues)
        limit = min(limit, MOST)
        reply = self._claim(limit, turn)
        if reply is None:
            self._start_anew()
            reply = self._claim(limit, turn)
            if reply is None:
                return []
        shut = tuple(name.decode() for name in reply[1])
        if shut != self._shut:
            self._explain(shut)
        taken = self._holding.adopt(_claimed(self._turns[turn], *reply[2:])) if len(reply) > 2 else []
        if listening and len(taken) < limit:
            due_at = time.monotonic() + float(reply[0]) if reply[0] else inf
            self._outlook = _Outlook(due_at, shut)
        return taken

    def _explain(self, shut: tuple[str, ...]) -> None:
        """Say once of a queue that is shut by what stands in its way; of one that is paused somebody knows."""
        fresh = [queue for queue in shut if queue not in self._shut]
        self._shut = shut
        lists = [name for queue in fresh for name in self._lists[queue]]
        if not lists:
            return
        for name, kind in zip(lists, self._server.link.calls([("TYPE", name) for name in lists]), strict=True):
            if kind not in {b"list", b"none"}:
                logger.error(
                    "The key %r of %s holds a %s where messages belong: its queue is left out until the key is renamed"
                    " or deleted. Other queues go on.",
                    name,
                    self._server.link.address,
                    kind.decode(),
                )

    def _claim(self, limit: int, turn: int) -> Any:
        holding = self._holding
        try:
            return self._server.attempt(CLAIM, holding.fence, limit, holding.number, *self._claims[turn])
        except Broken as error:
            holding.doubtful |= error.sent
            raise BrokerUnavailable(str(error)) from error

    def begin(self, tags: Sequence[Any]) -> None:
        self._holding.begin(tags)

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        return self._holding.settle(settlements, follow_ups)

    def renew(self) -> None:
        self._tend(renew=True)

    def wake(self) -> None:
        self._woken = True
        self._watch.wake()

    def set_queues(self, queues: Sequence[str]) -> None:
        self._look_at(queues)
        self._outlook = None
        self._watch.drop()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._watch.close()
        with suppress(BrokerError):  # then the lease runs out instead
            self._holding.give_back(counted=False)


def _claimed(
    queues: Sequence[str],
    envelopes: Sequence[bytes],
    tags: Sequence[bytes],
    earlier: Sequence[int],
    runs: Sequence[Any],
) -> Iterable[Received]:
    """Return what claim.lua took as :meth:`Holding.adopt` wants it; ``runs`` say how many came from which list."""
    places = [(runs[at], queues[runs[at + 1]], runs[at + 2] != b"H") for at in range(0, len(runs), 3)]
    return zip(
        envelopes,
        tags,
        earlier or repeat(0),
        chain.from_iterable(repeat(queue, count) for count, queue, _ in places),
        chain.from_iterable(repeat(orphaned, count) for count, _, orphaned in places),
        strict=False,
    )
