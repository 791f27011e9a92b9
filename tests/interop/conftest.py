"""The clients and workers of all sides, each started once and used by all tests of a place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.interop.matrix import tried
from tests.interop.places import PLACES, SIDES, Place
from tests.interop.servers import Servers
from tests.interop.sides import Driver, WorkerNode


class Stage:
    """Everything at one place. Workers share no queue: each has one of its own name.

    Args:
        word: of the place, a key of :data:`~tests.interop.places.PLACES`.
        place: where messages and results are.
    """

    def __init__(self, word: str, place: Place) -> None:
        self.word = word
        self.site = PLACES[word]
        self.place = place
        self._drivers: dict[str, Driver] = {}
        self._workers: dict[str, WorkerNode] = {}
        self._outcomes: dict[tuple[str, str], dict[str, Any]] = {}
        self._directory = tempfile.TemporaryDirectory(prefix="tq-interop-")

    def driver(self, side: str) -> Driver:
        """Return the client of a side."""
        if side not in self._drivers:
            self._drivers[side] = Driver(side, self.place)
        return self._drivers[side]

    def worker(self, side: str) -> WorkerNode:
        """Return the worker of a side; all are started together when the first is asked for."""
        if not self._workers:
            for each in SIDES:
                self._workers[each] = WorkerNode(each, self.place, f"q-{each}", f"{each}@interop")
        return self._workers[side].ready()

    def outcome(self, producer: str, worker: str) -> dict[str, Any]:
        """Return what came of the matrix between two sides, by feature and encoding; it is run once."""
        if (producer, worker) not in self._outcomes:
            node = self.worker(worker)
            fifo = self.fifo(f"{producer}-{worker}")
            self._outcomes[producer, worker] = self.driver(producer)(
                "matrix", node.queue, node.name, fifo, self.site.encodings, tried(self.word)
            )
        return self._outcomes[producer, worker]

    def fifo(self, name: str) -> str:
        """Make a named pipe and return its path."""
        path = str(Path(self._directory.name) / name)
        os.mkfifo(path)
        return path

    def close(self) -> None:
        """End all processes."""
        for driver in self._drivers.values():
            driver.close()
        for worker in self._workers.values():
            worker.close()
        self._directory.cleanup()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers that places need."""
    with closing(Servers()) as servers:
        yield servers


@pytest.fixture(scope="session")
def stages(servers: Servers) -> Iterator[Callable[[str], Stage]]:
    """Gives the stage of a place by its word; once set up, each stays until the end of the run."""
    with ExitStack() as closing_all:

        @cache
        def at(word: str) -> Stage:
            place = closing_all.enter_context(PLACES[word].open(servers))
            return closing_all.enter_context(closing(Stage(word, place)))

        yield at


@pytest.fixture(params=list(PLACES))
def stage(request: pytest.FixtureRequest, stages: Callable[[str], Stage]) -> Stage:
    """Each place with everything on it."""
    return stages(request.param)


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    """A named pipe."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return str(path)


@pytest.fixture
def start(stage: Stage) -> Iterator[Callable[..., WorkerNode]]:
    """Start workers of the test's own; they are killed afterwards."""
    started: list[WorkerNode] = []

    def starter(side: str, queue: str, name: str, **settings: Any) -> WorkerNode:
        started.append(WorkerNode(side, stage.place, queue, name, **settings))
        return started[-1].ready()

    yield starter
    for worker in started:
        worker.close()
