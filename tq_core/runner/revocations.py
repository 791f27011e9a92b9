"""What must not run: tasks by their ids, and tasks that carry certain stamps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tq_core.protocol.task import TaskMessage

#: The most ids, and the most stamps, remembered, and for how many seconds; the same as Celery's workers.
MOST, LIFETIME = 50_000, 10_800.0


class Stamp(NamedTuple):
    """A header that was stamped on tasks, and one of its values."""

    header: str
    value: Any


def stamps_of(headers: Mapping[str, Any]) -> list[Stamp]:
    """Return the stamps that headers name: one for each value of a list.

    Args:
        headers: a value, or a list of some, by the name of the header.

    Raises:
        ValueError: a header is no text, or a value is a mapping.
    """
    found = []
    for header, values in headers.items():
        for value in values if isinstance(values, (list, tuple, set, frozenset)) else [values]:
            if not isinstance(header, str) or not isinstance(value, (str, int, float, type(None))):
                raise ValueError(f"a stamped header has a name and values that are texts or numbers, not {value!r:.60}")
            found.append(Stamp(header, value))
    return found


class Revocations:
    """Remembers revoked ids and stamps for some hours, the latest ones when they are too many.

    Safe to use from several threads: one adds, others ask.

    Args:
        ids: revoked already.
        stamps: likewise.
        lifetime: seconds for which each is remembered.
        most: ids, and stamps, remembered.
    """

    __slots__ = ("_ids", "_lifetime", "_most", "_stamps")

    def __init__(
        self,
        ids: Iterable[str] = (),
        stamps: Iterable[Stamp] = (),
        *,
        lifetime: float = LIFETIME,
        most: int = MOST,
    ) -> None:
        self._lifetime = lifetime
        self._most = most
        self._ids: dict[str, float] = {}
        self._stamps: dict[Stamp, float] = {}
        self.update(ids, stamps)

    def update(self, ids: Iterable[str], stamps: Iterable[Stamp] = (), *, lifetime: float | None = None) -> None:
        """Add ids and stamps. One that was there counts as new.

        Args:
            ids, stamps: what is revoked.
            lifetime: seconds for which these are remembered, where it is not the usual time.
        """
        until = monotonic() + (self._lifetime if lifetime is None else lifetime)
        self._remember(self._ids, ids, until)
        self._remember(self._stamps, (Stamp(*stamp) for stamp in stamps), until)

    def __bool__(self) -> bool:
        return bool(self._ids or self._stamps)

    def __contains__(self, task_id: object) -> bool:
        return _holds(self._ids, task_id)

    def forbid(self, message: TaskMessage) -> bool:
        """Tell whether a task must not run."""
        return _holds(self._ids, message.id) or (bool(self._stamps) and self.stamped(message))

    def stamped(self, message: TaskMessage) -> bool:
        """Tell whether a task carries a stamp that is revoked."""
        return carries(message, lambda stamp: _holds(self._stamps, stamp))

    def ids(self) -> tuple[str, ...]:
        """Return the ids revoked now, the oldest first."""
        return _live(self._ids)

    def stamps(self) -> tuple[Stamp, ...]:
        """Return the stamps revoked now, the oldest first."""
        return _live(self._stamps)

    def lasting(self) -> tuple[list[tuple[str, float]], list[tuple[Stamp, float]]]:
        """Return ids and stamps with the seconds for which each is still remembered, the oldest first."""
        now = monotonic()
        ids = [(one, until - now) for one, until in self._ids.items() if until > now]
        return ids, [(one, until - now) for one, until in self._stamps.items() if until > now]

    def _remember(self, kept: dict[Any, float], new: Iterable[Any], until: float) -> None:
        now = monotonic()
        for one in new:
            kept.pop(one, None)  # so that it stands last
            kept[one] = until
        # The oldest stand first.
        while kept:
            oldest = next(iter(kept))
            if len(kept) <= self._most and kept[oldest] > now:
                return
            del kept[oldest]


def carries(message: TaskMessage, wanted: Any) -> bool:
    """Tell whether a message carries a stamp for which ``wanted(stamp)`` is true."""
    for header in message.stamped_headers or ():
        values = message.stamps.get(header)
        for value in values if isinstance(values, (list, tuple)) else [values]:
            if not isinstance(value, (dict, list)) and wanted(Stamp(header, value)):
                return True
    return False


def _holds(kept: Mapping[Any, float], one: object) -> bool:
    until = kept.get(one)
    return until is not None and until > monotonic()


def _live(kept: Mapping[Any, float]) -> tuple[Any, ...]:
    now = monotonic()
    return tuple(one for one, until in list(kept.items()) if until > now)
