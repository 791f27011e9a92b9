"""What this pool is for: a job finds nothing in its thread that another job left there."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from tq_pool_fresh.pool import FreshThreadPool

#: Seconds after which a test gives up.
PATIENCE = 20.0

kept = threading.local()
carried = contextvars.ContextVar("carried", default="nothing")


class Calls:
    """An execution whose jobs are functions, and whose outcomes are what they return."""

    def run(self, job: Callable[[], Any]) -> Any:
        return job()

    def interrupted(self, job: Any, error: BaseException) -> Any:
        return error


def look_around() -> tuple[str, str]:
    found = getattr(kept, "word", "nothing"), carried.get()
    kept.word = "something"
    carried.set("something")
    return found


class Serving:
    """A pool of two slots that serves in a thread."""

    def __init__(self) -> None:
        self.pool = FreshThreadPool(2)
        self._outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.pool.start(Calls(), lambda job, outcome: self._outcomes.put(outcome))
        self._thread = threading.Thread(target=self.pool.serve, daemon=True)
        self._thread.start()

    def outcomes(self, count: int) -> list[Any]:
        """Wait for so many outcomes."""
        return [self._outcomes.get(timeout=PATIENCE) for _ in range(count)]

    def stop(self) -> None:
        """Stop the pool, and make sure that it does."""
        self.pool.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@pytest.fixture
def serving() -> Iterator[Serving]:
    """A running pool."""
    serving = Serving()
    yield serving
    serving.stop()


def test_a_job_finds_nothing_of_another(serving: Serving) -> None:
    serving.pool.submit([partial(look_around) for _ in range(20)])
    assert serving.outcomes(20) == [("nothing", "nothing")] * 20
