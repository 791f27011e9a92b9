"""A subscription to results: told by whoever stores them, and looking by itself only to be safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from tq_core.contracts.backend import ResultRecord, ResultSubscription
from tq_sqlalchemy.waking import FIRST_LOOK, LAST_LOOK, Bell


class DatabaseResultSubscription(ResultSubscription):
    """Waits at a bell that is rung with the ids of new results.

    Args:
        bell: to wait at.
        give_back: takes the bell in the end.
        ready: returns the ready records among some ids, looking them up in as many steps as it likes.
        named: returns which of some ids a number of rings speak of.
        version: returns a number that changes when somebody may have committed, or None where that is not known.
    """

    def __init__(
        self,
        bell: Bell,
        give_back: Callable[[], None],
        ready: Callable[[Sequence[str]], Iterable[ResultRecord]],
        named: Callable[[Sequence[bytes], dict[str, None]], Sequence[str]],
        version: Callable[[], int | None],
    ) -> None:
        self._bell = bell
        self._give_back = give_back
        self._ready = ready
        self._named = named
        self._version = version
        self._pending: dict[str, None] = {}
        self._unseen: list[str] = []
        self._seen: int | None = None
        self._look = FIRST_LOOK
        self._closed = False
        bell.announce()

    def add(self, task_ids: Sequence[str]) -> None:
        """Look for these at the next :meth:`receive`, and listen for them."""
        if not self._pending:
            self._seen = self._version()
        self._pending.update(dict.fromkeys(task_ids))
        self._unseen += task_ids
        self._look = FIRST_LOOK

    def drop(self, task_ids: Sequence[str]) -> None:
        """Look for these no longer."""
        for task_id in task_ids:
            self._pending.pop(task_id, None)

    def receive(self, timeout: float) -> list[ResultRecord]:
        """Look up what was added or rung for; wait for a ring while that gives nothing."""
        deadline = time.monotonic() + timeout
        wanted: Sequence[str] = [task_id for task_id in self._unseen if task_id in self._pending]
        self._unseen = []
        while True:
            found = [record for record in self._ready(wanted) if record.task_id in self._pending] if wanted else []
            if found:
                self.drop([record.task_id for record in found])
                return found
            rest = deadline - time.monotonic()
            if rest <= 0:
                return []
            heard = self._bell.wait(min(self._look, rest) if self._pending else rest)
            if heard:
                wanted = self._named(heard, self._pending)
                if not wanted:
                    return []  # woken, or rung for somebody else
            else:
                wanted = self._looked_up_anyway()

    def _looked_up_anyway(self) -> Sequence[str]:
        """Return what to look up though no bell was rung: everything, if anything may have been written."""
        version = self._version() if self._pending else self._seen
        if version is not None and version == self._seen:
            self._look = min(self._look * 2, LAST_LOOK)
            return ()
        self._look = min(self._look * 2, LAST_LOOK) if version is None else FIRST_LOOK
        self._seen = version
        return list(self._pending)

    def wake(self) -> None:
        """Ring the own bell."""
        self._bell.wake()

    def close(self) -> None:
        """Give the bell back."""
        if not self._closed:
            self._closed = True
            self._give_back()
