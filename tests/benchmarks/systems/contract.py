"""What every measured system does, in its own words.

A system is driven from a process of its own, under the Python it is installed in (``driver.py``); its workers load the
same module. So these modules import the standard library and their own system, nothing of tq or of the harness.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

#: Messages of one bulk publication.
BATCH = 100
#: Seconds after which a result that must come is given up.
PATIENCE = 180.0


class Unsupported(Exception):
    """The system cannot do what is measured; the text says what it lacks."""


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
        url: of the broker.
        results: URL of where results are kept: the broker's server, or what ``TQ_BENCH_RESULTS`` names.
        pool: ``prefork``, ``threads``, ``solo`` or ``aio``.
        late: acknowledge late, where the system has a choice.
    """

    url: str
    results: str
    pool: str
    late: bool

    @classmethod
    def of_environment(cls) -> Settings:
        """Return what the harness has put into the environment of a driver and of a worker."""
        url = os.environ["BENCH_URL"]
        results = os.environ.get("TQ_BENCH_RESULTS") or ("rpc://" if url.startswith("amqp:") else url)
        return cls(url, results, os.environ["BENCH_POOL"], os.environ["BENCH_LATE"] == "1")

    @property
    def once(self) -> bool:
        """Whether a result can be read only once."""
        return self.results.startswith("rpc:")

    @property
    def scheme(self) -> str:
        """The URL's first word: ``sqlite``, ``postgresql`` …"""
        return self.url.partition(":")[0]


@dataclass(frozen=True)
class Workers:
    """How a worker node is started and stopped.

    Attributes:
        commands: one for each process that has to be started.
        quiet, talkative: options with which it logs no single task, and with which it says when it is ready.
        ready: what its output then says once it receives; empty when it says nothing of the kind.
        signal: name of the signal that ends it when it has finished what it runs.
    """

    commands: Sequence[Sequence[str]]
    quiet: Sequence[str] = ()
    talkative: Sequence[str] = ()
    ready: str = ""
    signal: str = "SIGTERM"


class System(ABC):
    """A task queue with a task ``add(x, y)``, seen from a program that uses it.

    A handle is whatever the system gives for a call. All methods are called by one thread, and block.
    """

    @abstractmethod
    def calls(self, count: int) -> list[Any]:
        """Call ``add`` in a loop, each call after the one before was taken by the broker, and return the handles."""

    @abstractmethod
    def round_trips(self, count: int) -> list[float]:
        """Call ``add`` and wait for its result as a program would, ``count`` times; return the seconds of each."""

    @abstractmethod
    def finished(self, handle: Any) -> bool:
        """Return whether the result is stored, without taking it away."""

    @abstractmethod
    def workers(self, slots: int) -> Workers:
        """Return how a worker is started that runs ``slots`` tasks at a time."""

    def unfinished(self, handles: Sequence[Any]) -> list[Any]:
        """Return those whose results are not stored yet."""
        return [handle for handle in handles if not self.finished(handle)]

    def arrivals(self, handles: Sequence[Any]) -> Iterator[None] | None:
        """Yield when a result arrives, for systems whose results can be read only once; None: look for them."""
        return None

    def bulk(self, count: int) -> list[Any]:
        """Call ``add`` ``count`` times, a hundred to a publication, and return the handles."""
        raise Unsupported("has no bulk call")

    def groups(self, count: int) -> list[Any]:
        """Call ``add`` ``count`` times, a hundred to a group, and return the handles."""
        raise Unsupported("has no groups")

    def chord(self, count: int) -> None:
        """Run ``count`` calls of ``add``, sum up their results in another task, and wait for the sum."""
        raise Unsupported("has no chords")

    def chain(self, count: int) -> None:
        """Run ``count`` calls of ``add``, each on the result of the one before, and wait for the last."""
        raise Unsupported("has no chains")

    def postpone(self, count: int, seconds: float) -> None:
        """Send ``count`` calls that are due in ``seconds``; nobody waits for them."""
        raise Unsupported("has no due times")

    def lateness(self, count: int, seconds: float) -> list[float]:
        """Send ``count`` calls that are due in ``seconds``, and return how many seconds late each began."""
        raise Unsupported("has no due times")

    def naps(self, count: int, seconds: float) -> None:
        """Run ``count`` coroutines that sleep for ``seconds``, and wait for all."""
        raise Unsupported("runs no coroutines")

    def close(self) -> None:  # not every system holds something
        """Close what is open."""


def batches(count: int) -> list[range]:
    """Return the numbers below ``count`` in batches."""
    return [range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
