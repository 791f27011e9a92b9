"""What ``docs/explanation/message-path.md`` says about the way of a message is so."""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tq_core import Celery, Task, signals
from tq_core.backends.memory import MemoryBackend
from tq_core.brokers.memory import MemoryBroker
from tq_core.pools.threads import ThreadPool
from tq_core.runner.board import Board
from tq_core.runner.runner import Runner, RunnerSpec

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "message-path.md"
STATIONS = [
    *("call", "route", "encode", "publish"),
    *("receive", "admit", "dispatch", "run", "follow up, record", "settle"),
    "answer",
]
#: Seconds after which a test gives up on an event; never waited for when all is well.
PATIENCE = 40.0
#: Where a plugin's class of these words is specified.
CONTRACTS = {"Broker": "broker", "Consumer": "broker", "Pool": "pool", "Backend": "backend"}


def table() -> list[tuple[str, str, str]]:
    """Return number, name and place of each station in the page's table."""
    rows = re.findall(r"^\| (\d+|↩) \| ([^|]+) \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [(number.strip(), name.strip(), place.strip()) for number, name, place in rows]


def named(place: str) -> Iterator[tuple[str, str]]:
    """Find what a place names: the module, and the function, method or ``""`` in it."""
    module = ""
    alone = False
    for word in re.findall(r"`([^`]+)`", place):
        if word.endswith(".py"):
            if alone:
                yield module, ""
            module, alone = word.removesuffix(".py").replace("/", "."), True
        elif word.partition(".")[0] in CONTRACTS:
            yield f"tq_core.contracts.{CONTRACTS[word.partition('.')[0]]}", word
        else:
            yield module, word
            alone = False
    if alone:
        yield module, ""


def test_the_table_has_the_ten_stations_and_the_answer_in_order() -> None:
    assert [number for number, _, _ in table()] == [*map(str, range(1, 11)), "↩"]
    assert [name for _, name, _ in table()] == STATIONS


@pytest.mark.parametrize(("number", "place"), [(number, place) for number, _, place in table()])
def test_every_place_that_a_station_names_exists(number: str, place: str) -> None:
    places = list(named(place))
    assert places, f"station {number} names no place"
    for module, path in places:
        assert module, f"station {number} names {path} without a file"
        found: Any = importlib.import_module(module)
        for name in filter(None, path.split(".")):
            found = getattr(found, name)


def test_the_picture_and_the_table_name_the_same_stations() -> None:
    picture = PAGE.read_text(encoding="utf-8").split("```")[1]
    drawn = dict(re.findall(r"(\d+|↩) ([a-z]+)", picture))
    assert drawn == {number: name.split()[-1] for number, name, _ in table()}


class Journal:
    """What the message under test has come past, in order."""

    def __init__(self) -> None:
        self.stations: list[str] = []
        self._changed = threading.Condition()

    def note(self, station: str) -> None:
        with self._changed:
            self.stations.append(station)
            self._changed.notify_all()

    def wait(self, station: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: station in self.stations, PATIENCE), self.stations


#: Plugins are opened by their paths and get nothing from a test; they write here.
JOURNAL = Journal()


class NotingTask(Task):
    """A task that notes its calls."""

    abstract = True

    def apply_async(self, *args: Any, **options: Any) -> Any:
        JOURNAL.note("call")
        return super().apply_async(*args, **options)


def route(name: str, *args: Any, **options: Any) -> dict[str, str]:
    """A router, as the setting ``task_routes`` takes it."""
    JOURNAL.note("route")
    return {"queue": "mine"}


class NotingBroker(MemoryBroker):
    """The memory broker, noting what passes."""

    def publish(self, messages: Any) -> None:
        JOURNAL.note("publish")
        super().publish(messages)

    def consumer(self, *args: Any, **options: Any) -> Any:
        consumer = super().consumer(*args, **options)
        receive, settle = consumer.receive, consumer.settle

        def noting_receive(limit: int, timeout: float) -> Any:
            deliveries = receive(limit, timeout)
            if deliveries:
                JOURNAL.note("receive")
            return deliveries

        def noting_settle(settlements: Any, follow_ups: Any = ()) -> Any:
            lost = settle(settlements, follow_ups)
            JOURNAL.note("settle")
            return lost

        consumer.receive, consumer.settle = noting_receive, noting_settle  # type: ignore[method-assign]  # of this one
        return consumer


class NotingBackend(MemoryBackend):
    """The memory backend, noting what passes."""

    def store(self, records: Any) -> None:
        JOURNAL.note("follow up, record")
        super().store(records)

    def watch(self, *args: Any, **options: Any) -> Any:
        for record in super().watch(*args, **options):
            JOURNAL.note("answer")
            yield record


class NotingPool(ThreadPool):
    """The pool of threads, noting what passes."""

    def submit(self, jobs: Any) -> None:
        JOURNAL.note("dispatch")
        super().submit(jobs)


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery(
        "path",
        broker=f"{__name__}:NotingBroker",
        backend=f"{__name__}:NotingBackend",
        task_routes=(route,),
        set_as_current=False,
    )
    yield app
    app.close()


@pytest.fixture
def announced() -> Iterator[None]:
    """Note the stations that signals announce."""
    listeners = {
        signals.before_task_publish: lambda **_: JOURNAL.note("encode"),
        signals.task_received: lambda **_: JOURNAL.note("admit"),
        signals.task_prerun: lambda **_: JOURNAL.note("run"),
    }
    for signal, listener in listeners.items():
        signal.connect(listener)
    yield
    for signal, listener in listeners.items():
        signal.disconnect(listener)


def test_a_message_comes_past_the_stations_in_order(app: Celery, announced: None) -> None:
    @app.task(base=NotingTask, name="path.add")
    def add(x: int, y: int) -> int:
        return x + y

    app.finalize()
    board = Board(1, 1)
    spec = RunnerSpec(0, "path-1", "celery@path", ("mine",), f"{__name__}:NotingPool", 1)
    runner = Runner(app, spec, board)
    running = threading.Thread(target=runner.run, daemon=True)
    running.start()
    assert runner.wait_ready(PATIENCE)
    result = add.delay(2, 2)
    # Only then is the answer fetched: it is there as soon as it is recorded, before the message is settled.
    JOURNAL.wait("settle")
    assert result.get(timeout=PATIENCE) == 4
    runner.drain()
    running.join(PATIENCE)
    assert not running.is_alive()
    board.close()
    assert JOURNAL.stations == STATIONS
