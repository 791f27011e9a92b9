"""Waiting for results that come to this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Protocol

from tq_amqp.results.kept import Inbox, Kept
from tq_core.contracts.backend import ResultRecord, ResultSubscription
from tq_core.errors import BackendError, TimeoutError

#: Longest wait in seconds of a watch without a deadline.
_LONGEST = 3600.0


class Source(Protocol):
    """Where results come from."""

    kept: Kept

    def expect(self, task_ids: Sequence[str]) -> None:
        """Have results of these tasks come; somebody listens for them by now."""

    def release(self, task_ids: Sequence[str]) -> None:
        """Nobody waits for these tasks any more."""


class KeptSubscription(ResultSubscription):
    """Hears of results as they come to this process. Owned by one thread.

    Args:
        source: where they come from.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._inbox: Inbox = SimpleQueue()
        self._pending: set[str] = set()
        self._error: BackendError | None = None

    def add(self, task_ids: Sequence[str]) -> None:
        new = [task_id for task_id in dict.fromkeys(task_ids) if task_id not in self._pending]
        self._pending.update(new)
        self._source.kept.listen(self._inbox, new)
        self._source.expect(new)

    def drop(self, task_ids: Sequence[str]) -> None:
        known = [task_id for task_id in task_ids if task_id in self._pending]
        self._pending.difference_update(known)
        unheard = self._source.kept.ignore(self._inbox, known)
        if unheard:
            self._source.release(unheard)

    def receive(self, timeout: float) -> list[ResultRecord]:
        records: list[ResultRecord] = []
        try:
            while self._error is None:
                wait = timeout > 0 and not records
                item = self._inbox.get(timeout=timeout) if wait else self._inbox.get_nowait()
                timeout = 0.0
                if isinstance(item, BackendError):
                    self._error = item
                elif item is not None and item[0] in self._pending:
                    task_id, found = item
                    self.drop([task_id])
                    if isinstance(found, BackendError):
                        self._error = found
                    else:
                        records.append(found)
        except Empty:
            pass
        if self._error is not None and not records:  # what has come before it is told first
            error, self._error = self._error, None
            raise error
        return records

    def wake(self) -> None:
        self._inbox.put(None)

    def close(self) -> None:
        self.drop(list(self._pending))


def watch(source: Source, task_ids: Sequence[str], timeout: float | None) -> Iterator[ResultRecord]:
    """Yield each ready record once; see :meth:`tq_core.contracts.backend.Backend.watch`."""
    deadline = None if timeout is None else monotonic() + timeout
    pending = set(task_ids)
    if not pending:
        return
    with closing(KeptSubscription(source)) as subscription:
        subscription.add(list(pending))
        while pending:
            left = _LONGEST if deadline is None else max(0.0, deadline - monotonic())
            records = subscription.receive(left)
            for record in records:
                pending.discard(record.task_id)
                yield record
            if pending and not records and deadline is not None and monotonic() >= deadline:
                raise TimeoutError(f"{len(pending)} of {len(set(task_ids))} results were not ready in time")
