"""The process that drives one measured system: ``python -m tests.benchmarks.driver MODULE``.

It runs under the Python that the system is installed in. Requests come as lines of JSON, ``[verb, argument …]``;
answers leave as lines of JSON, ``{"value": …}``, ``{"unsupported": text}`` or ``{"failed": text}``. The clock is read
here, in the same way for all systems.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.benchmarks.systems.contract import PATIENCE, Unsupported

if TYPE_CHECKING:
    from tests.benchmarks.systems.contract import System

#: Seconds between two looks at a result, and between two looks at thousands.
_GLANCE, _LOOK = 0.002, 0.02


class Driver:
    """Does what the harness asks for. Times are in seconds."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._handles: list[Any] = []

    def send(self, how: str, count: int) -> float:
        """Send ``count`` calls by the system's method ``how``; return the time it took."""
        started = time.perf_counter()
        handles = getattr(self._system, how)(count)
        seconds = time.perf_counter() - started
        self._handles += handles
        return seconds

    def drain(self, count: int | None = None) -> dict[str, float]:
        """Wait for what was sent first; return the time from the first result to the last, and how many came in it.

        Args:
            count: how many to wait for; all when None.
        """
        handles = self._handles[:count]
        del self._handles[: len(handles)]
        arrivals = self._system.arrivals(handles)
        if arrivals is not None:
            times = [time.perf_counter() for _ in arrivals]
            return {"seconds": times[-1] - times[0], "count": len(times) - 1}
        deadline = time.monotonic() + PATIENCE
        self._await(handles[0], deadline)
        started = time.perf_counter()
        self._await(handles[-1], deadline)
        left = self._system.unfinished(handles)
        while left:
            _wait(_LOOK, deadline)
            left = self._system.unfinished(left)
        return {"seconds": time.perf_counter() - started, "count": len(handles) - 1}

    def since(self, moment: float) -> float:
        """Wait for all that was sent; return how long after ``moment`` of the machine's monotonic clock that was."""
        self.drain()
        return time.perf_counter() - moment

    def _await(self, handle: Any, deadline: float) -> None:
        while not self._system.finished(handle):
            _wait(_GLANCE, deadline)

    def pass_over(self, count: int) -> None:
        """Wait no longer for those of the next ``count`` that have a result already."""
        self._handles[:count] = self._system.unfinished(self._handles[:count])

    def round_trips(self, count: int) -> list[float]:
        """Return the time of each of ``count`` calls with their results."""
        return self._system.round_trips(count)

    def take(self, how: str, *arguments: Any) -> float:
        """Call a method of the system; return the time it took."""
        started = time.perf_counter()
        getattr(self._system, how)(*arguments)
        return time.perf_counter() - started

    def ask(self, how: str, *arguments: Any) -> Any:
        """Call a method of the system; return what it returns."""
        return getattr(self._system, how)(*arguments)

    def workers(self, slots: int) -> dict[str, Any]:
        """Return how a worker is started."""
        return dataclasses.asdict(self._system.workers(slots))


def _wait(seconds: float, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"results were missing after {PATIENCE:.0f} seconds")
    time.sleep(seconds)


def answer(function: Callable[[], Any]) -> dict[str, Any]:
    """Call a function and put into words what became of it."""
    try:
        return {"value": function()}
    except Unsupported as reason:
        return {"unsupported": str(reason)}
    except BaseException as error:
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Open the system that the command line names, and answer until standard input ends."""
    # A system may print: only answers go to the pipe.
    pipe = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    opened: list[Driver] = []
    print(json.dumps(answer(lambda: opened.append(Driver(importlib.import_module(sys.argv[1]).Driven())))), file=pipe)
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        print(json.dumps(answer(lambda: getattr(opened[0], verb)(*arguments))), file=pipe)  # noqa: B023  # called here
    for driver in opened:
        driver.ask("close")


if __name__ == "__main__":
    main()
