"""Celery, with the settings it comes with; messages and results stand on the same server."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from celery import Celery, chain, chord, group
from celery.result import ResultSet

from tests.benchmarks.systems.contract import PATIENCE, Settings, System, Unsupported, Workers, batches

settings = Settings.of_environment()


def _translated(url: str, prefix: str) -> str:
    """Return a URL in Celery's words; those of databases begin with ``sqla+`` or ``db+``."""
    scheme = url.partition(":")[0]
    if scheme == "postgresql":
        return prefix + url.replace("postgresql:", "postgresql+psycopg:", 1)
    if scheme == "mysql":
        return prefix + url.replace("mysql:", "mysql+pymysql:", 1)
    return prefix + url if scheme == "sqlite" else url


app = Celery("bench", broker=_translated(settings.url, "sqla+"), backend=_translated(settings.results, "db+"))
app.conf.task_acks_late = settings.late
app.conf.broker_connection_retry_on_startup = True


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def now() -> float:
    return time.time()


class Driven(System):
    """Celery."""

    def calls(self, count: int) -> list[Any]:
        return [add.delay(i, i) for i in range(count)]

    def bulk(self, count: int) -> list[Any]:
        # A group on one producer is the nearest thing Celery has.
        return self.groups(count)

    def groups(self, count: int) -> list[Any]:
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
        return bool(handle.ready())

    def arrivals(self, handles: Sequence[Any]) -> Iterator[None] | None:
        if not settings.once:
            return None
        return (None for _ in ResultSet(list(handles)).iter_native(timeout=PATIENCE))

    def workers(self, slots: int) -> Workers:
        if settings.pool == "aio":
            raise Unsupported("has no asyncio pool")
        command = [sys.executable, "-m", "celery", "-A", __name__, "worker"]
        command += ["-P", settings.pool, "-c", str(slots)]
        return Workers([command], quiet=["-l", "warning"], talkative=["-l", "info"], ready=" ready.")

    def chord(self, count: int) -> None:
        if settings.once:
            raise Unsupported("has no chords with results by RPC")
        chord([add.s(i, i) for i in range(count)])(total.s()).get(timeout=PATIENCE)

    def chain(self, count: int) -> None:
        chain(add.s(0, 0), *(add.s(1) for _ in range(count - 1))).apply_async().get(timeout=PATIENCE)

    def postpone(self, count: int, seconds: float) -> None:
        eta = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        for i in range(count):
            add.apply_async((i, i), eta=eta)

    def lateness(self, count: int, seconds: float) -> list[float]:
        sent = []
        for _ in range(count):
            due = time.time() + seconds
            sent.append((due, now.apply_async(eta=datetime.fromtimestamp(due, timezone.utc))))
        return [result.get(timeout=PATIENCE) - due for due, result in sent]

    def close(self) -> None:
        app.close()
