"""Waiting for results: told by whoever stores them, and looking by itself only to be safe."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing

from tq_core.contracts.backend import ResultRecord, ResultSubscription
from tq_core.errors import TimeoutError
from tq_sqlalchemy.database import Database, Session
from tq_sqlalchemy.result_subscription import DatabaseResultSubscription
from tq_sqlalchemy.waking import LAST_LOOK, LOOK, Bell, Doorbell

#: More bells than there can be.
EVERYBODY = 1 << 30

#: Ids looked up at a time.
CHUNK = 500

#: A socket holds some ten rings; as many at once mean that others may have been dropped.
MANY_RINGS = 8

#: Bells kept for the next watch.
SPARE_BELLS = 4


class Watchers:
    """Watches of one process over one result table. Any thread.

    Args:
        database: where the table is.
        version: returns a number that changes when somebody may have committed, or None where that is not known.
        doorbell: tells of new results.
        fetch: returns the ready ones among some ids.
    """

    def __init__(
        self,
        database: Database,
        version: Callable[[Session], int | None],
        doorbell: Doorbell,
        fetch: Callable[[Sequence[str]], Iterable[ResultRecord]],
    ) -> None:
        self._database = database
        self._version_of = version
        self._doorbell = doorbell
        self._fetch = fetch
        self._spare: list[Bell] = []
        self._pid = os.getpid()

    def tell(self, ids: Sequence[str]) -> None:
        """Tell every watcher in every process that these results are there."""
        if self._doorbell.anyone("watchers"):
            for payload in self.payloads(ids):
                self._doorbell.ring("watchers", "", EVERYBODY, payload)

    def payloads(self, ids: Sequence[str]) -> list[bytes]:
        """Return the rings that tell of these results."""
        largest = self._doorbell.largest
        rings = []
        start = 0
        while start < len(ids):
            # Nearly all ids are short; a ring that would not fit says only that there is something.
            step = max(1, largest // (len(ids[start]) + 1))
            payload = "\n".join(ids[start : start + step]).encode("utf-8", "surrogatepass")
            rings.append(payload if len(payload) < largest else LOOK)
            start += step
        return rings

    def watch(self, task_ids: Sequence[str], timeout: float | None) -> Iterator[ResultRecord]:
        """Yield each ready record once; see :meth:`tq_core.contracts.backend.Backend.watch`."""
        pending = dict.fromkeys(task_ids)
        if not pending:
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        with closing(self.subscribe()) as subscription:
            subscription.add(list(pending))
            while pending:
                rest = LAST_LOOK if deadline is None else deadline - time.monotonic()
                for record in subscription.receive(rest):
                    del pending[record.task_id]
                    yield record
                if pending and deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError(f"{len(pending)} of {len(set(task_ids))} results were not ready in time")

    def subscribe(self) -> ResultSubscription:
        """Open a subscription; see :meth:`tq_core.contracts.backend.Backend.subscribe`."""
        bell = self._take_bell()
        return DatabaseResultSubscription(bell, lambda: self._give_bell(bell), self._ready_among, _named, self._version)

    def _ready_among(self, task_ids: Sequence[str]) -> list[ResultRecord]:
        chunks = (task_ids[start : start + CHUNK] for start in range(0, len(task_ids), CHUNK))
        return [record for chunk in chunks for record in self._fetch(chunk)]

    def _version(self) -> int | None:
        return self._database.read(self._version_of)

    def _take_bell(self) -> Bell:
        if self._pid != os.getpid():
            self._pid, self._spare = os.getpid(), []
        try:
            return self._spare.pop()
        except IndexError:
            return self._doorbell.bell("watchers")

    def _give_bell(self, bell: Bell) -> None:
        bell.retract()
        if len(self._spare) < SPARE_BELLS and self._pid == os.getpid():
            self._spare.append(bell)
        else:
            bell.close()

    def close(self) -> None:
        """Take down the spare bells."""
        while self._spare:
            self._spare.pop().close()


def _named(heard: Sequence[bytes], pending: dict[str, None]) -> Sequence[str]:
    if len(heard) >= MANY_RINGS or LOOK in heard:
        return list(pending)
    ids = b"\n".join(heard).decode("utf-8", "surrogatepass").split("\n")
    return [task_id for task_id in dict.fromkeys(ids) if task_id in pending]
