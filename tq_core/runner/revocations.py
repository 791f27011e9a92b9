"""The ids of tasks that must not run."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic

#: The most ids remembered, and for how many seconds; the same as Celery's workers.
LIMIT, KEPT = 50_000, 10_800.0


class Revocations:
    """Remembers revoked ids for some hours, the latest ones when they are too many.

    Safe to use from several threads: one adds, others ask.

    Args:
        ids: revoked already.
    """

    __slots__ = ("_until",)

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._until: dict[str, float] = {}
        self.update(ids)

    def update(self, ids: Iterable[str]) -> None:
        """Add ids. One that was there counts as new."""
        now = monotonic()
        kept = self._until
        for task_id in ids:
            kept.pop(task_id, None)  # so that it stands last
            kept[task_id] = now + KEPT
        # The oldest stand first.
        while kept:
            oldest = next(iter(kept))
            if len(kept) <= LIMIT and kept[oldest] > now:
                return
            del kept[oldest]

    def __contains__(self, task_id: object) -> bool:
        until = self._until.get(task_id)  # type: ignore[call-overload]  # anything may be asked for
        return until is not None and until > monotonic()

    def ids(self) -> tuple[str, ...]:
        """Return what is revoked now, the oldest first."""
        now = monotonic()
        return tuple(task_id for task_id, until in list(self._until.items()) if until > now)
