"""Functions that are called when results are there, without anybody waiting for them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tq_core.contracts.backend import ResultRecord
    from tq_core.results.async_result import AsyncResult

logger = logging.getLogger(__name__)


class Caller:
    """Calls functions one after the other in a thread, which lives while there are any. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._busy = False

    def call_soon_threadsafe(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function soon; it must not raise."""
        with self._lock:
            self._calls.append((function, args))
            if self._busy:
                return
            self._busy = True
        threading.Thread(target=self._run, name="ResultCallbacks", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._calls:
                    self._busy = False
                    return
                function, args = self._calls.popleft()
            function(*args)


class Notice:
    """Some results that are awaited, and a function to call once all are ready.

    Args:
        results: the handles; each takes over its record.
        call: called in the caller's thread.
        caller: calls it.
    """

    def __init__(self, results: Sequence[AsyncResult], call: Callable[[], Any], caller: Caller) -> None:
        self.loop = caller
        self._call = call
        self._awaited: dict[str, list[AsyncResult]] = {}
        for result in results:
            self._awaited.setdefault(result.id, []).append(result)

    @property
    def task_ids(self) -> list[str]:
        """Whose results are awaited."""
        return list(self._awaited)

    def take(self, record: ResultRecord) -> None:
        """Be told of a record."""
        for result in self._awaited.pop(record.task_id, ()):
            result.keep(record)
        if self._awaited:
            return
        try:
            self._call()
        except Exception:  # one broken callback must not keep the others from being called
            logger.exception("A callback of a result raised")

    def fail(self, error: BaseException) -> None:
        """Be told that no more will come."""
        logger.warning("Callbacks of %d results will not be called: %s", len(self._awaited), error)
