"""How the living tell that a consumer has died: its lease, a file, is not touched any more."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from tq_broker_directory.layout import BEGUN, ORPHAN, Name, entries_of, move


class Lease:
    """A consumer's own lease.

    Args:
        directory: ``held/<consumer>``.
        duration: seconds of silence after which the consumer counts as dead.
    """

    def __init__(self, directory: Path, duration: float) -> None:
        self._directory = directory
        self._duration = duration
        self._touched = float("-inf")

    def renew(self) -> None:
        """Touch the file, but not more often than is of use."""
        if time.monotonic() - self._touched < self._duration / 8:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "lease").touch()
        self._touched = time.monotonic()


class Watch:
    """What one consumer has seen of the others' leases.

    A lease is over when its file has not changed for a whole duration *while somebody watched*. The watcher's
    monotonic clock measures that, so that setting the machine's clock kills nobody.
    """

    def __init__(self, root: Path, duration: float) -> None:
        self._root = root
        self._duration = duration
        self._looked = float("-inf")
        self._seen: dict[Path, tuple[int, float]] = {}

    def return_messages_of_the_dead(self) -> None:
        """Put what dead consumers held back into the queues."""
        now = time.monotonic()
        if now - self._looked < self._duration / 4:
            return
        self._looked = now
        for directory in entries_of(self._root / "held"):
            if self._is_dead(directory, now):
                give_back(self._root, directory, counted=True)
                self._seen.pop(directory, None)

    def _is_dead(self, directory: Path, now: float) -> bool:
        try:
            touched = (directory / "lease").stat().st_mtime_ns
        except FileNotFoundError:
            touched = 0
        before, since = self._seen.get(directory, (None, now))
        if touched != before:
            self._seen[directory] = (touched, now)
            return False
        return now - since > self._duration


def give_back(root: Path, directory: Path, *, counted: bool) -> None:
    """Put everything that a consumer holds back into the queues; what it had begun becomes an orphan.

    Args:
        root: the broker's directory.
        directory: ``held/<consumer>``.
        counted: whether these deliveries count.
    """
    for file in list(directory.glob("=*/*")):
        name = Name.of(file)
        mark = ORPHAN if name.mark == BEGUN else name.mark
        freed = Name(name.order, name.deliveries - (not counted), mark)
        move(file, root / "queues" / file.parent.name, str(freed))
    with contextlib.suppress(FileNotFoundError):
        (directory / "lease").unlink()
    remove_empty(directory)


def remove_empty(directory: Path) -> None:
    """Remove a consumer's directory, unless it has been given something meanwhile."""
    for below in [*entries_of(directory), directory]:
        with contextlib.suppress(OSError):
            below.rmdir()
