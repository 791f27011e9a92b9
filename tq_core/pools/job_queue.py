"""The queue between a runner's transport thread and the threads that run its jobs."""

from __future__ import annotations

from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any


class JobQueue:
    """First in, first out; jobs can be taken back, and a stop mark ends one taker each. Thread-safe."""

    __slots__ = ("_items", "qsize", "take")

    def __init__(self) -> None:
        self._items: SimpleQueue[Any] = SimpleQueue()
        #: Block until there is a job, and return it; None tells the taker to end.
        self.take = self._items.get
        #: Return how many jobs wait.
        self.qsize = self._items.qsize

    def put(self, jobs: Sequence[Any]) -> None:
        """Add jobs in order."""
        for job in jobs:
            self._items.put(job)

    def put_stop(self, takers: int = 1) -> None:
        """Let ``takers`` takers end once they have taken the jobs before this."""
        for _ in range(takers):
            self._items.put(None)

    def withdraw(self) -> list[Any]:
        """Take back every job nobody has taken; stop marks stay."""
        jobs: list[Any] = []
        stops = 0
        while True:
            try:
                job = self._items.get_nowait()
            except Empty:
                break
            if job is None:
                stops += 1
            else:
                jobs.append(job)
        self.put_stop(stops)
        return jobs
