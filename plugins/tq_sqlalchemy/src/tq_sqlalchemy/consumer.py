"""Takes messages, and waits for them without asking all the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from tq_core.contracts.broker import Consumer, Settlement
from tq_core.errors import BrokerError
from tq_core.message import Delivery, Message
from tq_sqlalchemy.database import ONCE, Database
from tq_sqlalchemy.dialect import MessageVerbs
from tq_sqlalchemy.holding import Holding
from tq_sqlalchemy.leases import Observer, beat, register
from tq_sqlalchemy.waking import FIRST_LOOK, LAST_LOOK, WAKE, Doorbell

#: Seconds between two looks at the other consumers.
OBSERVE_EVERY = 1.0

#: Seconds during which a claim whose answer was lost may still take effect, and between two looks whether it has.
DOUBT, RELEASE_EVERY = 20.0, 1.0


class DatabaseConsumer(Consumer):
    """A consumer of some queues.

    Args:
        database: where the queues are.
        verbs: the dialect's way with messages.
        holding: keeps account of what was taken.
        doorbell: wakes it, and wakes others when there is more than it can take.
        queues: names.
        consumer_id: under which it is registered.
        lease: seconds of silence after which it counts as dead.
        ring: wakes other consumers.
    """

    def __init__(
        self,
        database: Database,
        verbs: MessageVerbs,
        holding: Holding,
        doorbell: Doorbell,
        queues: Sequence[str],
        *,
        consumer_id: str,
        lease: float,
        ring: Callable[[Iterable[str], int], None],
    ) -> None:
        self._database = database
        self._verbs = verbs
        self._holding = holding
        self._doorbell = doorbell
        self._queues = list(dict.fromkeys(queues))
        self._consumer_id = consumer_id
        self._lease = lease
        self._ring = ring
        self._observer = Observer(database, lease)
        self._bell = doorbell.bell("consumers", self._queues)
        self._woken = False
        self._emptied = False
        self._closed = False
        self._turn = 0
        self._first = 0
        self._doubtful: dict[int, float] = {}
        self._released_at = 0.0
        self._ripened_at = 0.0
        self._observed_at = time.monotonic() - OBSERVE_EVERY
        self._beaten_at = time.monotonic()

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        deadline = time.monotonic() + timeout
        self._attend()
        if self._emptied and timeout > 0:
            self._emptied = False
            if WAKE in self._bell.wait(min(self._verbs.breath, timeout)) or self._woken:
                self._woken = False
                return []
        taken = self._take(limit)
        if not taken and timeout > 0:
            taken = self._wait(limit, deadline)
        elif taken:
            self._bell.retract()
        self._emptied = self._verbs.breath > 0 and 0 < len(taken) < limit
        if len(taken) == limit:
            # There may be more than this consumer can take.
            self._ring(self._queues, 1)
        return taken

    def _wait(self, limit: int, deadline: float) -> list[Delivery]:
        self._bell.announce()
        look = FIRST_LOOK
        seen: int | None = None
        heard: list[bytes] = []
        while not self._woken:
            due: float | None = None
            if heard:
                ready, is_due = True, False  # as those who ring say
            else:
                version, ready, due = self._database.read(lambda session: self._verbs.glance(session, self._queues))
                is_due = due is not None and due <= time.time()
                if version is not None and version != seen:
                    seen, look = version, FIRST_LOOK
            if ready or is_due:
                taken = self._take(limit, ripen=is_due)
                if taken:
                    self._bell.retract()
                    return taken
            rest = deadline - time.monotonic()
            if rest <= 0:
                return []
            if heard:
                heard = []
                continue
            until_due = rest if due is None or is_due else max(0.0, due - time.time())
            heard = self._bell.wait(min(rest, look, until_due, self._lease / 4))
            if WAKE in heard:
                break
            if not heard:
                look = min(look * 2, LAST_LOOK)
            self._attend()
        self._woken = False
        return []

    def _attend(self) -> None:
        now = time.monotonic()
        if now - self._beaten_at >= self._lease / 4:
            self.renew()
        if now - self._observed_at >= OBSERVE_EVERY:
            self._observed_at = now
            for queue, count in self._observer.look().items():
                self._ring([queue], count)

        if self._doubtful and now - self._released_at >= RELEASE_EVERY:
            self._released_at = now
            self._release_doubtful(now)

    def _take(self, limit: int, *, ripen: bool = False) -> list[Delivery]:
        now = time.monotonic()
        if ripen or now - self._ripened_at >= self._verbs.ripen_every:
            self._ripened_at = now
            self._verbs.ripen(self._database, time.time())
        taken: list[Delivery] = []
        count = len(self._queues)
        # Starting at another queue each time keeps a full one from starving the others.
        self._first += 1
        for step in range(count):
            queue = self._queues[(self._first + step) % count]
            try:
                taken += self._claim(queue, limit - len(taken))
            except BrokerError:
                if not taken:
                    raise
                break
            if len(taken) >= limit:
                break
        return taken

    def _claim(self, queue: str, wanted: int) -> list[Delivery]:
        self._turn += 1
        turn = self._turn
        try:
            rows = self._database.once(
                lambda session: self._verbs.claim(session, queue, self._holding.fence, turn, wanted), ONCE
            )
        except BrokerError:
            # It may have been claimed and not been read; nobody else would ever hand it out again.
            self._doubtful[turn] = time.monotonic() + DOUBT
            raise
        return self._holding.adopt(queue, turn, rows) if rows else []

    def _release_doubtful(self, now: float) -> None:
        self._holding.release(list(self._doubtful))
        # A server that was out of reach may get to hear of the claim after this.
        self._doubtful = {turn: until for turn, until in self._doubtful.items() if until > now}

    def begin(self, tags: Sequence[Any]) -> None:
        self._holding.begin(tags)

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        return self._holding.settle(settlements, follow_ups)

    def renew(self) -> None:
        self._beaten_at = time.monotonic()
        if not self._database.once(lambda session: beat(session, self._holding.fence)):
            # Fenced while it slept: what it held is somebody else's now, and it starts afresh.
            self._holding.drop()
            self._holding.fence = self._database.once(lambda session: register(session, self._consumer_id))

    def wake(self) -> None:
        self._woken = True
        self._bell.wake()

    def set_queues(self, queues: Sequence[str]) -> None:
        self._queues = list(dict.fromkeys(queues))
        self._bell.close()
        self._bell = self._doorbell.bell("consumers", self._queues)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._bell.close()
        with suppress(BrokerError):  # then the lease runs out instead
            self._holding.give_back(counted=False)
