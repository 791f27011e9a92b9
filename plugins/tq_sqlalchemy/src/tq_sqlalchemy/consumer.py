"""Takes messages, and waits for them without asking all the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from tq_core.contracts.broker import Consumer, Settlement
from tq_core.errors import BrokerError
from tq_core.message import Delivery, Message
from tq_sqlalchemy.doorbell import WAKE, Doorbell
from tq_sqlalchemy.holding import Holding
from tq_sqlalchemy.leases import Observer, beat, register
from tq_sqlalchemy.session import Database, Session
from tq_sqlalchemy.sqlite.messages import any_ready, claim, data_version, next_due, ripen

#: Seconds between looks at a silent database: quick at first, then rarer.
FIRST_LOOK, LAST_LOOK = 0.25, 1.0

#: Seconds between two looks at the parked messages while there is other work.
RIPEN_EVERY = 0.005

#: Seconds between two looks at the other consumers.
OBSERVE_EVERY = 1.0


class DatabaseConsumer(Consumer):
    """A consumer of some queues.

    Args:
        database: where the queues are.
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
        holding: Holding,
        doorbell: Doorbell,
        queues: Sequence[str],
        *,
        consumer_id: str,
        lease: float,
        ring: Callable[[Iterable[str], int], None],
    ) -> None:
        self._database = database
        self._holding = holding
        self._doorbell = doorbell
        self._queues = list(dict.fromkeys(queues))
        self._consumer_id = consumer_id
        self._lease = lease
        self._ring = ring
        self._observer = Observer(database, lease)
        self._bell = doorbell.bell("consumers", self._queues)
        self._woken = False
        self._closed = False
        self._turn = 0
        self._first = 0
        self._doubtful: list[int] = []
        self._ripened_at = 0.0
        self._observed_at = time.monotonic() - OBSERVE_EVERY
        self._beaten_at = time.monotonic()

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        deadline = time.monotonic() + timeout
        self._attend()
        taken = self._take(limit)
        if not taken and timeout > 0:
            taken = self._wait(limit, deadline)
        elif taken:
            self._bell.retract()
        if len(taken) == limit:
            # There may be more than this consumer can take.
            self._ring(self._queues, 1)
        return taken

    def _wait(self, limit: int, deadline: float) -> list[Delivery]:
        self._bell.announce()
        look = FIRST_LOOK
        seen: int | None = None
        while not self._woken:
            # The version first: what is committed after it is seen by the next look.
            version, ready, due = self._database.read(self._glance)
            now = time.time()
            if ready or (due is not None and due <= now):
                taken = self._take(limit)
                if taken:
                    self._bell.retract()
                    return taken
            rest = deadline - time.monotonic()
            if rest <= 0:
                return []
            if version != seen:
                seen, look = version, FIRST_LOOK
            until_due = rest if due is None or due <= now else due - now
            heard = self._bell.wait(min(rest, look, until_due, self._lease / 4))
            if WAKE in heard:
                break
            if not heard:
                look = min(look * 2, LAST_LOOK)
            self._attend()
        self._woken = False
        return []

    def _glance(self, session: Session) -> tuple[int, bool, float | None]:
        raw = session.open()
        return data_version(raw), any_ready(raw, self._queues), next_due(raw)

    def _attend(self) -> None:
        now = time.monotonic()
        if now - self._beaten_at >= self._lease / 4:
            self.renew()
        if now - self._observed_at >= OBSERVE_EVERY:
            self._observed_at = now
            for queue, count in self._observer.look().items():
                self._ring([queue], count)

    def _take(self, limit: int) -> list[Delivery]:
        if self._doubtful:
            self._holding.release(self._doubtful)
            self._doubtful = []
        now = time.monotonic()
        if now - self._ripened_at >= RIPEN_EVERY:
            self._ripened_at = now
            self._ripen()
        taken: list[Delivery] = []
        count = len(self._queues)
        # Starting at another queue each time keeps a full one from starving the others.
        self._first += 1
        for step in range(count):
            queue = self._queues[(self._first + step) % count]
            self._turn += 1
            turn, wanted = self._turn, limit - len(taken)
            try:
                rows = self._database.once(
                    lambda session, queue=queue, turn=turn, wanted=wanted: claim(  # type: ignore[misc]  # mypy wants no defaults here
                        session.open(), queue, self._holding.fence, turn, wanted
                    )
                )
            except BrokerError:
                # It may have been claimed and not been read; nobody else would ever hand it out again.
                self._doubtful.append(turn)
                if not taken:
                    raise
                break
            if rows:
                taken += self._holding.adopt(queue, turn, rows)
                if len(taken) >= limit:
                    break
        return taken

    def _ripen(self) -> None:
        now = time.time()
        due = self._database.read(lambda session: next_due(session.open()))
        if due is not None and due <= now:
            self._database.once(lambda session: ripen(session.open(), now))

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
