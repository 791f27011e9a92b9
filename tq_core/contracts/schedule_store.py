"""The contract of a schedule store: where the scheduler keeps its entries and their last runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One periodic task.

    Attributes:
        name: unique among the entries.
        definition: task, schedule, arguments and options, as plain data.
        last_run_at: Unix time in seconds of the last run, None before the first.
        total_run_count: runs so far.
        enabled: False keeps the entry and skips it.
    """

    name: str
    definition: Mapping[str, Any]
    last_run_at: float | None = None
    total_run_count: int = 0
    enabled: bool = True


class ScheduleStore(ABC):
    """Keeps schedule entries, whose names may be any text. Used by one thread of the scheduler process."""

    @abstractmethod
    def load(self) -> dict[str, StoredEntry]:
        """Return every entry by name; a damaged store is set aside and reported, and reads as empty."""

    @abstractmethod
    def save(self, entries: Mapping[str, StoredEntry]) -> None:
        """Replace or add entries, and leave the others alone; they are kept when this returns."""

    @abstractmethod
    def delete(self, name: str) -> bool:
        """Remove an entry; False when there was none."""

    @abstractmethod
    def watch(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for a change that somebody else made since :meth:`load`; True when there was
        one. Changes made through this store do not count."""

    @abstractmethod
    def close(self) -> None:
        """Write what is pending and close. May be called twice."""


@dataclass(frozen=True, slots=True)
class ScheduleStoreRequest:
    """What a ``tq_schedule_store`` hook is given.

    Attributes:
        name: the store's name or URL as configured.
        settings: every resolved setting by its lower-case name.
    """

    name: str
    settings: Mapping[str, Any]
