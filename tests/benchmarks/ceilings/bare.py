"""What all ceilings share: a bare client has calls and a worker's share of the work, but no handles and no worker."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.systems.contract import BATCH, System, Unsupported, Workers, batches

#: A message and a result of the usual lengths.
MESSAGE, RESULT = "m" * 800, "r" * 200


class Bare(System):
    """One process that does a client's work and a worker's, through calls of the client library alone."""

    @abstractmethod
    def publish(self, count: int) -> None:
        """Have the server take ``count`` messages at once."""

    @abstractmethod
    def claim(self, limit: int) -> Sequence[Any]:
        """Take up to ``limit`` messages, so that no other takes them; return what names them."""

    @abstractmethod
    def finish(self, claimed: Sequence[Any]) -> None:
        """Store a result for each, and remove the messages."""

    @abstractmethod
    def fetch(self, claimed: Any) -> None:
        """Read one result."""

    def calls(self, count: int) -> list[Any]:
        for _ in range(count):
            self.publish(1)
        return []

    def bulk(self, count: int) -> list[Any]:
        for batch in batches(count):
            self.publish(len(batch))
        return []

    def settle(self, count: int) -> dict[str, float]:
        """Do a worker's share of ``count`` messages; return seconds and CPU seconds."""
        started, cpu, left = time.perf_counter(), time.process_time(), count
        while left > 0:
            claimed = self.claim(BATCH)
            self.finish(claimed)
            left -= len(claimed)
        return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}

    def round_trips(self, count: int) -> list[float]:
        times = []
        for _ in range(count):
            started = time.perf_counter()
            self.publish(1)
            claimed = self.claim(1)
            self.finish(claimed)
            self.fetch(claimed[0])
            times.append(time.perf_counter() - started)
        return times

    def finished(self, handle: Any) -> bool:
        raise Unsupported("has no handles")

    def workers(self, slots: int) -> Workers:
        raise Unsupported("has no worker")
