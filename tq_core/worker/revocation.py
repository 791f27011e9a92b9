"""What a node must not run any more, and what it is to stop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from tq_core.control.kept_revocations import KeptRevocations
from tq_core.runner.board import BusySlot, shown_id
from tq_core.runner.limits import GRACE
from tq_core.runner.revocations import Revocations, Stamp
from tq_core.worker.signal_names import AT_ONCE, INTERRUPT
from tq_core.worker.state_file import StateFile

if TYPE_CHECKING:
    from tq_core.app import Celery

logger = logging.getLogger("tq.worker.control")

#: Seconds between two looks at the store, where nothing else tells of what is revoked.
_LOOK = 1.0
#: Seconds after which a task that was to be stopped, and does not run here, is of no more interest.
_FORGET = 60.0


class Revocation:
    """Remembers, keeps and passes on what is revoked. Used by the supervisor's main thread.

    Args:
        app: the application.
        tell: says a word, and the rest, to every runner.
        running: returns what the node's slots are running.
        isolated: killing a runner's process ends one task only.
        polls: nothing but the store tells what is revoked.

    Attributes:
        revoked: all of it.
    """

    def __init__(
        self,
        app: Celery,
        tell: Callable[..., None],
        running: Callable[[], Iterable[BusySlot]],
        *,
        isolated: bool,
        polls: bool,
    ) -> None:
        conf = app.conf
        self.revoked = Revocations(lifetime=conf.worker_revoke_expires, most=conf.worker_revokes_max)
        self._app = app
        self._tell = tell
        self._running = running
        self._isolated = isolated
        self._polls = polls
        self._look_at = 0.0
        self._kept: KeptRevocations | None = None
        self._file = StateFile(conf.worker_state_db) if conf.worker_state_db else None
        if self._file is not None:
            self._file.load(self.revoked)
        # by id as the board shows it: the signal's number, and when to kill
        self._stopping: dict[str, tuple[int, float]] = {}

    def recall(self) -> None:
        """Learn what was revoked while this node was away."""
        self._kept = KeptRevocations.of(self._app)
        if self._kept is not None:
            ids, stamps = self._kept.load()
            self._learn(ids, stamps)

    def look(self) -> None:
        """Look into the store for news, now and then."""
        kept = self._kept
        if kept is None or not (self._polls or kept.behind) or monotonic() < self._look_at:
            return
        began = monotonic()
        if kept.has_news():
            self._learn(*kept.load())
        # A store that is slow to answer, or does not, must not keep the supervisor from its runners.
        self._look_at = monotonic() + max(_LOOK, 10 * (monotonic() - began))

    def _learn(self, ids: Iterable[str], stamps: Iterable[Stamp]) -> None:
        known = set(self.revoked.stamps())
        new_ids = [one for one in ids if one not in self.revoked]
        new_stamps = [one for one in stamps if one not in known]
        if new_ids or new_stamps:
            self.revoked.update(new_ids, new_stamps)
            self._tell("revoke", new_ids, new_stamps)
            logger.info("%d tasks and %d stamps were revoked elsewhere", len(new_ids), len(new_stamps))

    def learn(self, ids: Sequence[str]) -> None:
        """Take over what another node knows."""
        self._learn(ids, ())

    def add(self, ids: Sequence[str], stamps: Sequence[Stamp] = ()) -> None:
        """Run none of these any more, and keep that."""
        self.revoked.update(ids, stamps)
        self._tell("revoke", list(ids), list(stamps))
        if self._kept is not None:
            self._kept.keep(ids, stamps)
        if self._file is not None:
            try:
                self._file.save(self.revoked)
            except OSError as error:
                logger.error("worker_state_db cannot be written: %s", error)

    def terminate(self, ids: Sequence[str], stamps: Sequence[Stamp], signum: int) -> list[str]:
        """Stop what runs; it has a grace to clean up, unless the signal leaves none.

        Args:
            ids: of tasks.
            stamps: tasks that carry one of these are meant as well.
            signum: number of the signal.

        Returns:
            those of the ids that run here now.
        """
        wanted = {shown_id(one): one for one in ids}
        found = sorted({wanted[slot.task_id] for slot in self._running() if slot.task_id in wanted})
        if not (self._isolated and signum in AT_ONCE and found and not stamps):
            self._tell("terminate", list(ids), list(stamps), signum)
        self.answered(found, signum)
        return found

    def answered(self, ids: Iterable[str], signum: int) -> None:
        """See to the end of tasks that their runners are stopping."""
        if self._isolated and signum != INTERRUPT:
            self.stop(ids, signum)

    def stop(self, ids: Iterable[str], signum: int) -> None:
        """Have the processes killed that run these tasks when their grace is over."""
        now = monotonic()
        self._stopping = {one: entry for one, entry in self._stopping.items() if now < entry[1] + _FORGET}
        for one in ids:
            logger.info("Terminating %s (%s)", one, signum)
            self._stopping.setdefault(shown_id(one), (signum, now + (0.0 if signum in AT_ONCE else GRACE)))

    def overdue(self, slot: BusySlot, now: float) -> int | None:
        """Return the signal's number when the process that runs a task is to be killed now, else None."""
        entry = self._stopping.get(slot.task_id) if self._stopping else None
        return entry[0] if entry is not None and now >= entry[1] else None
