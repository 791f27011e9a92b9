"""Results that have come to this process: kept for whoever asks, and told to those who wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from time import monotonic

from tq_core.contracts.backend import ResultRecord
from tq_core.errors import BackendError
from tq_core.states import READY_STATES, SUCCESS

logger = logging.getLogger(__name__)

#: What came for a task, or what is wrong with it.
News = tuple[str, "ResultRecord | BackendError"]
#: News for one who waits; None only wakes, an error ends the wait.
Inbox = SimpleQueue["News | BackendError | None"]

#: Beyond so many results those go that have been here for so many seconds. Younger ones stay: a large group's results
#: come while its caller is still sending.
MOST, OLD = 100_000, 600.0


class Kept:
    """Results of one process. Any thread.

    Args:
        lifetime: seconds they are kept, None for ever.
    """

    def __init__(self, lifetime: float | None) -> None:
        # Re-entrant: a watch that nobody holds any more is closed wherever the garbage collector runs, in here, too.
        self._lock = threading.RLock()
        self._lifetime = lifetime
        # In the order in which they came, each with its deadline and the time it came.
        self._found: dict[str, tuple[ResultRecord | BackendError, float, float]] = {}
        self._inboxes: dict[str, list[Inbox]] = {}
        self._warned = False

    def put(self, news: Iterable[News]) -> None:
        """Keep what came in, newest state first, but a ``SUCCESS`` stays; and tell those who wait for it."""
        now = monotonic()
        deadline = float("inf") if self._lifetime is None else now + self._lifetime
        with self._lock:
            for task_id, found in news:
                known = self._found.get(task_id)
                if known is not None and _state(known[0]) == SUCCESS and known[1] > now:
                    continue
                self._found.pop(task_id, None)
                self._found[task_id] = (found, deadline, now)
                if _is_ready(found):
                    for inbox in self._inboxes.pop(task_id, ()):
                        inbox.put((task_id, found))
            self._make_room(now)

    def _make_room(self, now: float) -> None:
        while self._found:
            oldest, (_, deadline, came) = next(iter(self._found.items()))
            expired = deadline <= now
            if not expired and (len(self._found) <= MOST or now - came < OLD):
                return
            del self._found[oldest]
            if not expired and not self._warned:
                self._warned = True
                logger.warning(
                    "More than %d results have come that nobody asked for; the oldest are dropped. Call get() or "
                    "forget() on each result, or give the tasks ignore_result=True",
                    MOST,
                )

    def get(self, task_ids: Iterable[str]) -> dict[str, ResultRecord | BackendError]:
        """Return what is known of these tasks."""
        now = monotonic()
        found = {}
        with self._lock:
            for task_id in task_ids:
                known = self._found.get(task_id)
                if known is None:
                    continue
                if known[1] <= now:
                    del self._found[task_id]
                else:
                    found[task_id] = known[0]
        return found

    def drop(self, task_ids: Iterable[str]) -> None:
        """Forget these."""
        with self._lock:
            for task_id in task_ids:
                self._found.pop(task_id, None)

    def sweep(self) -> int:
        """Drop what expired and return how many that were."""
        now = monotonic()
        with self._lock:
            expired = [task_id for task_id, (_, deadline, _) in self._found.items() if deadline <= now]
            for task_id in expired:
                del self._found[task_id]
        return len(expired)

    # those who wait

    def listen(self, inbox: Inbox, task_ids: Iterable[str]) -> None:
        """Put news of these tasks into an inbox: now where they are ready, else once they are."""
        with self._lock:
            ready = {task_id: found for task_id, found in self.get(task_ids).items() if _is_ready(found)}
            for task_id in task_ids:
                if task_id in ready:
                    inbox.put((task_id, ready[task_id]))
                else:
                    self._inboxes.setdefault(task_id, []).append(inbox)

    def ignore(self, inbox: Inbox, task_ids: Iterable[str]) -> list[str]:
        """Put no more news of these tasks into an inbox; return those that nobody waits for any more."""
        unheard = []
        with self._lock:
            for task_id in task_ids:
                inboxes = self._inboxes.get(task_id)
                if inboxes is None:
                    unheard.append(task_id)
                    continue
                if inbox in inboxes:
                    inboxes.remove(inbox)
                if not inboxes:
                    del self._inboxes[task_id]
                    unheard.append(task_id)
        return unheard

    def awaited(self) -> list[str]:
        """Return the tasks that somebody waits for."""
        with self._lock:
            return list(self._inboxes)

    def disappoint(self, error: Callable[[], BackendError]) -> None:
        """End the wait of everybody with an error, each with one of its own."""
        with self._lock:
            inboxes = {id(inbox): inbox for several in self._inboxes.values() for inbox in several}
            for inbox in inboxes.values():
                inbox.put(error())


def records_of(found: dict[str, ResultRecord | BackendError], task_ids: Sequence[str]) -> dict[str, ResultRecord]:
    """Return the records among what was found.

    Raises:
        BackendError: one of them could not be read.
    """
    records = {}
    for task_id in task_ids:
        one = found.get(task_id)
        if isinstance(one, BackendError):
            raise one
        if one is not None:
            records[task_id] = one
    return records


def _state(found: ResultRecord | BackendError) -> str:
    return "" if isinstance(found, BackendError) else found.state


def _is_ready(found: ResultRecord | BackendError) -> bool:
    return isinstance(found, BackendError) or found.state in READY_STATES
