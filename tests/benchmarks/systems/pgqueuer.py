"""pgqueuer on asyncpg; a second slot is a second process."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pgqueuer
from pgqueuer import AsyncpgDriver, PgQueuer, Queries
from pgqueuer.core.completion import CompletionWatcher

from tests.benchmarks.systems.contract import Settings, System, Unsupported, Workers, batches

settings = Settings.of_environment()
#: Jobs that a worker claims at once. With its default of 10 it drains several times slower.
_CLAIM = 100


@asynccontextmanager
async def worker() -> AsyncIterator[PgQueuer]:
    """Make what a worker runs."""
    connection = await asyncpg.connect(settings.url)
    queuer = PgQueuer.from_asyncpg_connection(connection)

    @queuer.entrypoint("add")
    async def add(job: Any) -> None:
        x, y = map(int, job.payload.split())
        x + y  # there is nowhere to leave it

    try:
        yield queuer
    finally:
        await connection.close()


class Driven(System):
    """pgqueuer, in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection = self._run(asyncpg.connect(settings.url))
        self._driver = AsyncpgDriver(self._connection)
        self._queries = Queries(self._driver)
        if not self._run(self._queries.schema_is_installed()):
            self._run(self._queries.install())

    def _run(self, awaitable: Any) -> Any:
        return self._loop.run_until_complete(awaitable)

    def calls(self, count: int) -> list[Any]:
        async def send() -> list[Any]:
            return [job for i in range(count) for job in await self._queries.enqueue("add", b"%d %d" % (i, i))]

        handles: list[Any] = self._run(send())
        return handles

    def bulk(self, count: int) -> list[Any]:
        async def send() -> list[Any]:
            handles: list[Any] = []
            for batch in batches(count):
                size = len(batch)
                handles += await self._queries.enqueue(["add"] * size, [b"%d %d" % (i, i) for i in batch], [0] * size)
            return handles

        handles: list[Any] = self._run(send())
        return handles

    def round_trips(self, count: int) -> list[float]:
        async def trips() -> list[float]:
            times = []
            async with CompletionWatcher(self._driver, queries=self._queries) as watcher:
                for _ in range(count):
                    started = time.perf_counter()
                    (job,) = await self._queries.enqueue("add", b"1 1")
                    await watcher.wait_for(job)
                    times.append(time.perf_counter() - started)
            return times

        times: list[float] = self._run(trips())
        return times

    def finished(self, handle: Any) -> bool:
        return not self.unfinished([handle])

    def unfinished(self, handles: Sequence[Any]) -> list[Any]:
        known = dict(self._run(self._queries.job_status(list(handles))))
        return [handle for handle in handles if known.get(handle) != "successful"]

    def workers(self, slots: int) -> Workers:
        if settings.pool in ("threads", "solo"):
            raise Unsupported(f"has no {settings.pool} workers")
        return Workers([[sys.executable, "-m", __name__]] * slots)

    def close(self) -> None:
        self._run(self._connection.close())
        self._loop.close()


if __name__ == "__main__":
    # Its own command line does not start under the present release of the library that reads its options.
    asyncio.run(pgqueuer.run(worker, batch_size=_CLAIM))
