"""A subscription to results for backends that offer none: asking again and again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from tq_core import states
from tq_core.contracts.backend import ResultSubscription

if TYPE_CHECKING:
    from tq_core.contracts.backend import Backend, ResultRecord

#: Seconds between two looks: first, and at most.
_FIRST, _MOST = 0.01, 0.5


class PolledSubscription(ResultSubscription):
    """Looks for results at growing intervals, which begin anew with each task added.

    Args:
        backend: asked by ``fetch``.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._pending: dict[str, None] = {}
        self._pause = _FIRST
        self._woken = threading.Event()

    def add(self, task_ids: Sequence[str]) -> None:
        """Ask for these, too, and soon."""
        self._pending.update(dict.fromkeys(task_ids))
        self._pause = 0.0

    def drop(self, task_ids: Sequence[str]) -> None:
        """Ask for these no more."""
        for task_id in task_ids:
            self._pending.pop(task_id, None)

    def receive(self, timeout: float) -> list[ResultRecord]:
        """Ask until something is ready."""
        deadline = monotonic() + timeout
        while True:
            rest = deadline - monotonic()
            if self._woken.wait(max(0.0, min(self._pause, rest) if self._pending else rest)):
                self._woken.clear()
                return []
            found = self._backend.fetch(list(self._pending)) if self._pending else {}
            ready = [record for record in found.values() if record.state in states.READY_STATES]
            self.drop([record.task_id for record in ready])
            self._pause = _FIRST if ready else min(_MOST, max(_FIRST, self._pause * 1.5))
            if ready or rest <= 0:
                return ready

    def wake(self) -> None:
        """End the pause."""
        self._woken.set()

    def close(self) -> None:
        """Do nothing: nothing was opened."""
