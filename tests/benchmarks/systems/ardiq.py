"""ardiq: its worker loop and its Redis client are Rust.

Its worker is one event loop; a second slot is a second process, as its ``--workers`` makes it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from ardiq import Ardiq

from tests.benchmarks.systems.contract import PATIENCE, Settings, System, Unsupported, Workers, batches

settings = Settings.of_environment()
app = Ardiq(settings.url, queue_name="bench")


@app.task
async def add(x: int, y: int) -> int:
    return x + y


class Driven(System):
    """ardiq, in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def calls(self, count: int) -> list[Any]:
        async def send() -> list[Any]:
            return [await add.enqueue(i, i) for i in range(count)]

        return self._loop.run_until_complete(send())

    def bulk(self, count: int) -> list[Any]:
        async def send() -> list[Any]:
            handles: list[Any] = []
            for batch in batches(count):
                handles += await app.enqueue_many([add.prepare(i, i) for i in batch])
            return handles

        return self._loop.run_until_complete(send())

    def round_trips(self, count: int) -> list[float]:
        async def trips() -> list[float]:
            times = []
            for _ in range(count):
                started = time.perf_counter()
                await (await add.enqueue(1, 1)).result(timeout=PATIENCE)
                times.append(time.perf_counter() - started)
            return times

        return self._loop.run_until_complete(trips())

    def finished(self, handle: Any) -> bool:
        return self._loop.run_until_complete(handle.result()) is not None

    def workers(self, slots: int) -> Workers:
        if settings.pool == "solo" and slots > 1:
            raise Unsupported("runs solo in one process")
        if settings.pool == "threads":
            raise Unsupported("has no worker of threads")
        return Workers([[sys.executable, "-m", "ardiq", "run", f"{__name__}:app", "--quiet", "-w", str(slots)]])

    def close(self) -> None:
        self._loop.close()
