"""huey, with the settings it comes with."""

from __future__ import annotations

import sys
import time
from typing import Any

from huey import PostgresHuey, RedisHuey, SqliteHuey, chord

from tests.benchmarks.systems.contract import PATIENCE, Settings, System, Unsupported, Workers

settings = Settings.of_environment()


def _open() -> Any:
    if settings.scheme == "redis":
        return RedisHuey("bench", url=settings.url)
    if settings.scheme == "postgresql":
        return PostgresHuey("bench", dsn=settings.url)
    return SqliteHuey("bench", filename=settings.url.removeprefix("sqlite:///"))


huey = _open()


@huey.task()
def add(x: int, y: int) -> int:
    return x + y


@huey.task()
def more(x: int, y: int) -> int:
    # A pipeline hands the value before on as the last argument.
    return x + y


@huey.task()
def total(numbers: list[int]) -> int:
    return sum(numbers)


class Driven(System):
    """huey."""

    def calls(self, count: int) -> list[Any]:
        return [add(i, i) for i in range(count)]

    def round_trips(self, count: int) -> list[float]:
        times = []
        for _ in range(count):
            started = time.perf_counter()
            add(1, 1).get(blocking=True, timeout=PATIENCE)
            times.append(time.perf_counter() - started)
        return times

    def finished(self, handle: Any) -> bool:
        return bool(huey.storage.has_data_for_key(handle.id))

    def workers(self, slots: int) -> Workers:
        if settings.pool not in ("prefork", "threads"):
            raise Unsupported(f"has no {settings.pool} workers")
        kind = {"prefork": "process", "threads": "thread"}[settings.pool]
        command = [sys.executable, "-m", "huey.bin.huey_consumer", f"{__name__}.huey", "-k", kind, "-w", str(slots)]
        return Workers([command], quiet=["-q"], ready="consumer started", signal="SIGINT")

    def chain(self, count: int) -> None:
        first = add.s(0, 0)
        for _ in range(count - 1):
            first = first.then(more, 1)
        *_, last = huey.enqueue(first)
        last.get(blocking=True, timeout=PATIENCE)

    def chord(self, count: int) -> None:
        flow = chord([add.s(i, i) for i in range(count)], total.s())
        huey.enqueue(flow).get(blocking=True, timeout=PATIENCE)
