"""How conformance tests wait: for an event, within a bound, without sleeping."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tq_core.contracts.broker import Consumer
from tq_core.message import Delivery

#: Seconds after which a wait counts as failed; far above what any store needs. A slow machine may need more.
PATIENCE = float(os.environ.get("TQ_CONFORMANCE_PATIENCE", "20"))


def until(condition: Callable[[], Any], otherwise: str = "what was waited for did not happen") -> Any:
    """Ask again and again until ``condition`` answers with something true, and return it; fail when it never does."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(otherwise)
        pause.wait(0.02)
    return answer


def take(consumer: Consumer, count: int, *, within: float = PATIENCE) -> list[Delivery]:
    """Receive ``count`` deliveries, renewing the consumer's lease meanwhile, and fail when they do not come.

    Args:
        consumer: receives in the calling thread.
        count: deliveries to wait for.
        within: seconds.
    """
    taken: list[Delivery] = []
    deadline = time.monotonic() + within
    while len(taken) < count:
        if time.monotonic() > deadline:
            pytest.fail(f"only {len(taken)} of {count} messages arrived within {within:g} s")
        taken += consumer.receive(count - len(taken), 0.1)
        consumer.renew()
    return taken


def nothing(consumer: Consumer) -> bool:
    """Return True when the consumer finds nothing to receive now."""
    return consumer.receive(10, 0) == []


class Thread:
    """Runs a function in a thread of its own and hands back what it returned or raised."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._function()
        except BaseException as error:
            self._error = error

    def ended(self, within: float) -> bool:
        """Wait up to ``within`` seconds; True when the function has ended."""
        self._thread.join(within)
        return not self._thread.is_alive()

    def result(self, within: float = PATIENCE) -> Any:
        """Return what the function returned, or raise what it raised; fail after ``within`` seconds."""
        if not self.ended(within):
            pytest.fail(f"{self._function} did not end within {within:g} s")
        if self._error is not None:
            raise self._error
        return self._value
