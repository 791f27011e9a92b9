"""tq."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.benchmarks.systems.contract import PATIENCE, Settings, System, Unsupported, Workers, batches
from tq_core import Celery

settings = Settings.of_environment()
app = Celery("bench", broker=settings.url, backend=settings.results)
app.conf.task_acks_late = settings.late


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def now() -> float:
    return time.time()


if settings.pool == "aio":

    @app.task
    async def nap(seconds: float) -> None:
        await asyncio.sleep(seconds)


class Driven(System):
    """tq, through the calls that it shares with Celery."""

    def __init__(self) -> None:
        self._open = ExitStack()
        app.broker.connect(5)

    def calls(self, count: int) -> list[Any]:
        return [add.delay(i, i) for i in range(count)]

    def bulk(self, count: int) -> list[Any]:
        handles: list[Any] = []
        for batch in batches(count):
            handles += add.apply_many([(i, i) for i in batch])
        return handles

    def groups(self, count: int) -> list[Any]:
        from tq_core import group

        return [
            handle for batch in batches(count) for handle in group(add.s(i, i) for i in batch).apply_async().children
        ]

    def round_trips(self, count: int) -> list[float]:
        times = []
        for _ in range(count):
            started = time.perf_counter()
            add.delay(1, 1).get(timeout=PATIENCE)
            times.append(time.perf_counter() - started)
        return times

    def finished(self, handle: Any) -> bool:
        return bool(app.backend.fetch([handle.id]))

    def unfinished(self, handles: Sequence[Any]) -> list[Any]:
        left = []
        for start in range(0, len(handles), 500):
            part = handles[start : start + 500]
            known = app.backend.fetch([handle.id for handle in part])
            left += [handle for handle in part if handle.id not in known]
        return left

    def arrivals(self, handles: Sequence[Any]) -> Iterator[None] | None:
        if not settings.once:
            return None
        return (None for _ in app.backend.watch([handle.id for handle in handles], timeout=PATIENCE))

    def workers(self, slots: int) -> Workers:
        if settings.scheme == "memory":
            raise Unsupported("memory:// is seen by one process only")
        command = [sys.executable, "-m", "tq_core.cli.main", "-A", __name__, "worker"]
        command += ["-P", settings.pool, "-c", str(slots)]
        return Workers([command], quiet=["-l", "warning"], talkative=["-l", "info"], ready=" ready.")

    def chord(self, count: int) -> None:
        from tq_core import chord

        chord([add.s(i, i) for i in range(count)])(total.s()).get(timeout=PATIENCE)

    def chain(self, count: int) -> None:
        from tq_core import chain

        chain(add.s(0, 0), *(add.s(1) for _ in range(count - 1))).apply_async().get(timeout=PATIENCE)

    def postpone(self, count: int, seconds: float) -> None:
        eta = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        for batch in batches(count):
            add.apply_many([(i, i) for i in batch], eta=eta)

    def lateness(self, count: int, seconds: float) -> list[float]:
        sent = []
        for _ in range(count):
            due = time.time() + seconds
            sent.append((due, now.apply_async(eta=datetime.fromtimestamp(due, timezone.utc))))
        return [result.get(timeout=PATIENCE) - due for due, result in sent]

    def naps(self, count: int, seconds: float) -> None:
        handles = [nap.delay(seconds) for _ in range(count)]
        for handle in handles:
            handle.get(timeout=PATIENCE)

    def close(self) -> None:
        app.close()
