"""A subscription to results in memory."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tq_core.contracts.backend import ResultRecord, ResultSubscription

if TYPE_CHECKING:
    from tq_core.backends.memory import MemoryResults


class MemorySubscription(ResultSubscription):
    """Is told by the threads that store results.

    Args:
        results: of one namespace.
        read: makes a record of a task's id and stored document.
    """

    def __init__(self, results: MemoryResults, read: Callable[[str, bytes], ResultRecord]) -> None:
        self._results = results
        self._read = read
        # None in it only wakes.
        self._inbox: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self._pending: set[str] = set()

    def add(self, task_ids: Sequence[str]) -> None:
        """Hear of these tasks, too."""
        new = [task_id for task_id in dict.fromkeys(task_ids) if task_id not in self._pending]
        self._pending.update(new)
        self._results.subscribe(self._inbox, new)

    def drop(self, task_ids: Sequence[str]) -> None:
        """Hear of these tasks no longer."""
        self._pending.difference_update(task_ids)
        self._results.unsubscribe(self._inbox, task_ids)

    def receive(self, timeout: float) -> list[ResultRecord]:
        """Return what was put into the inbox."""
        records = []
        try:
            item = self._inbox.get(timeout=max(timeout, 0.0))
            while True:
                if item is not None and item[0] in self._pending:
                    self.drop([item[0]])
                    records.append(self._read(*item))
                item = self._inbox.get_nowait()
        except queue.Empty:
            return records

    def wake(self) -> None:
        """End the wait."""
        self._inbox.put(None)

    def close(self) -> None:
        """Take the inbox away."""
        self.drop(list(self._pending))
