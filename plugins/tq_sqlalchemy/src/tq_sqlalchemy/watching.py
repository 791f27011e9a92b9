"""Waiting for results: told by whoever stores them, and looking by itself only to be safe."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from tq_core.contracts.backend import ResultRecord
from tq_core.errors import TimeoutError
from tq_sqlalchemy.doorbell import LARGEST, Bell, Doorbell
from tq_sqlalchemy.session import Database
from tq_sqlalchemy.sqlite.messages import data_version

FIRST_LOOK, LAST_LOOK = 0.25, 1.0

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
        doorbell: tells of new results.
        fetch: returns the ready ones among some ids.
    """

    def __init__(
        self, database: Database, doorbell: Doorbell, fetch: Callable[[Sequence[str]], Iterable[ResultRecord]]
    ) -> None:
        self._database = database
        self._doorbell = doorbell
        self._fetch = fetch
        self._spare: list[Bell] = []
        self._pid = os.getpid()

    def tell(self, ids: Sequence[str]) -> None:
        """Tell every watcher in every process that these results are there."""
        if not self._doorbell.anyone("watchers"):
            return
        per_ring = max(1, LARGEST // 300)
        for start in range(0, len(ids), per_ring):
            payload = "\n".join(ids[start : start + per_ring]).encode("utf-8", "surrogatepass")
            # A payload that would not fit says only that there is something.
            self._doorbell.ring("watchers", "", 1 << 30, payload if len(payload) < LARGEST else b"*")

    def watch(self, task_ids: Sequence[str], timeout: float | None) -> Iterator[ResultRecord]:
        """Yield each ready record once; see :meth:`tq_core.contracts.backend.Backend.watch`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pending = dict.fromkeys(task_ids)
        if not pending:
            return
        bell = self._take_bell()
        bell.announce()
        try:
            look = FIRST_LOOK
            seen = self._version()
            wanted: Sequence[str] = list(pending)
            while True:
                for start in range(0, len(wanted), CHUNK):
                    for record in self._fetch(wanted[start : start + CHUNK]):
                        if record.task_id in pending:
                            del pending[record.task_id]
                            yield record
                if not pending:
                    return
                rest = look if deadline is None else min(look, deadline - time.monotonic())
                heard = bell.wait(rest)
                if heard:
                    wanted = _named(heard, pending)
                    continue
                if deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError(f"{len(pending)} of {len(set(task_ids))} results were not ready in time")
                version = self._version()
                if version != seen:
                    seen, wanted, look = version, list(pending), FIRST_LOOK
                else:
                    wanted, look = (), min(look * 2, LAST_LOOK)
        finally:
            self._give_bell(bell)

    def _version(self) -> int:
        return self._database.read(lambda session: data_version(session.open()))

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
    if len(heard) >= MANY_RINGS or b"*" in heard:
        return list(pending)
    ids = b"\n".join(heard).decode("utf-8", "surrogatepass").split("\n")
    return [task_id for task_id in dict.fromkeys(ids) if task_id in pending]
