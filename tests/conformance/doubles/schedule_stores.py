"""A schedule store in a JSON file, and some that break a promise each."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import unquote

from tq_core.contracts.schedule_store import ScheduleStore, ScheduleStoreRequest, StoredEntry


class FileStore(ScheduleStore):
    """Entries in a JSON file, replaced as a whole with each change; nothing is wrong with it."""

    BREAKS: frozenset[str] = frozenset()

    def __init__(self, request: ScheduleStoreRequest) -> None:
        self.path = Path(unquote(request.name.partition("://")[2]))
        self._seen = self._content()

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def load(self) -> dict[str, StoredEntry]:
        self._seen = self._content()
        try:
            return {name: StoredEntry(**entry) for name, entry in json.loads(self._seen or b"{}").items()}
        except ValueError:
            os.replace(self.path, self.path.with_suffix(".damaged"))
            return {}

    def _keep(self, entries: Mapping[str, StoredEntry]) -> None:
        text = json.dumps({name: asdict(entry) for name, entry in entries.items()})
        unfinished = self.path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(text)
        os.replace(unfinished, self.path)
        self._seen = text.encode()

    def save(self, entries: Mapping[str, StoredEntry]) -> None:
        self._keep({**self.load(), **entries})

    def delete(self, name: str) -> bool:
        entries = self.load()
        found = entries.pop(name, None)
        self._keep(entries)
        return found is not None

    def watch(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while self._content() == self._seen:
            if time.monotonic() >= deadline:
                return False
            threading.Event().wait(0.01)
        return True

    def close(self) -> None:
        """Everything is written already."""


class ReplacesEverything(FileStore):
    """Saving some entries drops the others."""

    BREAKS = frozenset({"entries.replaced"})

    def save(self, entries: Mapping[str, StoredEntry]) -> None:
        self._keep(entries)


class ForgetsTheLastRun(FileStore):
    """It rounds times to seconds."""

    BREAKS = frozenset({"entries.kept", "closing.kept"})

    def load(self) -> dict[str, StoredEntry]:
        entries = super().load()
        return {n: replace(e, last_run_at=e.last_run_at and float(int(e.last_run_at))) for n, e in entries.items()}


class DeletesInMemory(FileStore):
    """The next scheduler finds what was deleted."""

    BREAKS = frozenset({"closing.kept"})

    def close(self) -> None:
        super().close()
        entries = self.load()
        stem = next(iter(entries), "")[:-1]
        if len(entries) == 1 and stem.endswith("-") and stem + "b" not in entries and stem + "a" in entries:
            self._keep({**entries, stem + "b": StoredEntry(stem + "b", {})})


class SeesItsOwnChanges(FileStore):
    """It takes its own changes for somebody else's."""

    BREAKS = frozenset({"watch.quiet"})

    def watch(self, timeout: float) -> bool:
        return timeout == 0 or super().watch(timeout)


class NeverLooks(FileStore):
    """It does not see what others change."""

    BREAKS = frozenset({"watch.change"})

    def watch(self, timeout: float) -> bool:
        threading.Event().wait(min(timeout, 0.5))
        return False


ALL = [kind for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, FileStore)]
