"""The memory backend: results that live and die with the process, for tests, notebooks and small programs.

Results pass through the serializer all the same, so that what a real store would refuse or change (a tuple
that comes back as a list) is refused or changed here. ``memory://name`` chooses a namespace, as for the
memory broker.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tq_core import clock
from tq_core.backends import document
from tq_core.backends.memory_chords import MemoryChords
from tq_core.backends.memory_coordination import MemoryCoordination
from tq_core.contracts.backend import (
    Backend,
    BackendCapabilities,
    BackendRequest,
    ChordPart,
    ResultRecord,
    ResultSubscription,
)
from tq_core.contracts.coordination import Coordination
from tq_core.errors import TimeoutError
from tq_core.states import READY_STATES, SUCCESS

#: What the memory backend can do.
CAPABILITIES = BackendCapabilities(
    push=True, groups=True, chords=True, expiry=True, coordination=True, shared=False, subscribe=True
)

#: A stored record: state, document, deadline by the monotonic clock (infinity for never).
_Stored = tuple[str, bytes, float]
#: Seconds of one wait of a watch without a timeout.
_LONG = 3600.0


class MemoryResults:
    """What all memory backends of one URL in this process share; guarded by ``lock``."""

    def __init__(self) -> None:
        # Re-entrant: a watch that nobody holds any more is closed wherever the garbage collector runs, in here, too.
        self.lock = threading.RLock()
        self.records: dict[str, _Stored] = {}
        self.groups: dict[str, tuple[bytes, float]] = {}
        self.watchers: dict[str, list[queue.SimpleQueue[tuple[str, bytes] | None]]] = {}
        self.chords = MemoryChords()
        self.coordination = MemoryCoordination()

    def subscribe(self, inbox: queue.SimpleQueue[tuple[str, bytes] | None], task_ids: Sequence[str]) -> None:
        """Put the documents of these tasks into an inbox: now where they are ready, else once they are."""
        now = clock.monotonic()
        with self.lock:
            for task_id in task_ids:
                known = self.records.get(task_id)
                if known is not None and known[0] in READY_STATES and known[2] > now:
                    inbox.put((task_id, known[1]))
                else:
                    self.watchers.setdefault(task_id, []).append(inbox)

    def unsubscribe(self, inbox: queue.SimpleQueue[tuple[str, bytes] | None], task_ids: Sequence[str]) -> None:
        """Put nothing more of these tasks into an inbox."""
        with self.lock:
            for task_id in task_ids:
                watchers = self.watchers.get(task_id)
                if watchers is not None and inbox in watchers:
                    watchers.remove(inbox)
                    if not watchers:
                        self.watchers.pop(task_id, None)

    def sweep(self) -> int:
        """Drop what expired and return how many records that were; the caller holds the lock."""
        now = clock.monotonic()
        expired = [task_id for task_id, stored in self.records.items() if stored[2] <= now]
        for task_id in expired:
            del self.records[task_id]
        for group_id in [g for g, saved in self.groups.items() if saved[1] <= now]:
            del self.groups[group_id]
        self.chords.sweep()
        return len(expired)


#: Namespaces of this process by process id and URL; a forked child starts with none.
_NAMESPACES: dict[tuple[int, str], MemoryResults] = {}


def forget(url: str) -> None:
    """Drop the namespace of a URL and all that is in it; who still has a backend of that URL keeps what it sees."""
    _NAMESPACES.pop((os.getpid(), _namespace(url)), None)


def _namespace(url: str) -> str:
    parts = urlsplit(url)
    return (parts.netloc.rpartition("@")[2] + parts.path).strip("/") if parts.scheme else ""


class MemoryBackend(Backend):
    """The backend of ``memory://`` and ``cache+memory://`` URLs.

    Args:
        request: ``result_expires`` is read from its settings.

    Raises:
        ImproperlyConfigured: the result serializer's content type is not accepted.
    """

    capabilities = CAPABILITIES
    #: Records stored between two sweeps of expired ones.
    SWEEP_EVERY = 10_000

    def __init__(self, request: BackendRequest) -> None:
        document.require_accepted(request)
        self._name = _namespace(request.url)
        self._serializer = request.serializer
        self._lifetime = document.lifetime(request.settings)
        self._until_sweep = self.SWEEP_EVERY
        self._pid = 0
        self._results: MemoryResults

    def _open(self) -> MemoryResults:
        """Return the namespace, a new one in a forked child, where the parent's lock may be held for ever."""
        pid = os.getpid()
        if pid != self._pid:
            self._results = _NAMESPACES.setdefault((pid, self._name), MemoryResults())
            self._pid = pid
        return self._results

    def _deadline(self) -> float:
        return float("inf") if self._lifetime is None else clock.monotonic() + self._lifetime

    def store(self, records: Sequence[ResultRecord]) -> None:
        """Write records; all are serialized before the first is written."""
        deadline = self._deadline()
        batch = [(r.task_id, r.state, document.write(r, self._serializer)) for r in records]
        results = self._open()
        with results.lock:
            for task_id, state, data in batch:
                known = results.records.pop(task_id, None)
                if known is not None and known[0] == SUCCESS:
                    results.records[task_id] = known
                    continue
                results.records[task_id] = (state, data, deadline)
                if state in READY_STATES:
                    for watcher in tuple(results.watchers.get(task_id, ())):
                        watcher.put((task_id, data))
            self._until_sweep -= len(batch)
            if self._until_sweep <= 0:
                self._until_sweep = self.SWEEP_EVERY
                results.sweep()

    def fetch(self, task_ids: Sequence[str]) -> dict[str, ResultRecord]:
        """Return the records there are."""
        now = clock.monotonic()
        results = self._open()
        with results.lock:
            found = {i: results.records[i] for i in task_ids if i in results.records}
        return {i: self._read(i, data) for i, (_, data, deadline) in found.items() if deadline > now}

    def _read(self, task_id: str, data: bytes) -> ResultRecord:
        return document.read(data, self._serializer, f"of task {task_id} in memory")

    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        """Yield each task's record once, as they become ready; told by the storing thread."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pending = set(task_ids)
        with closing(self.subscribe()) as subscription:
            subscription.add(list(pending))
            while pending:
                left = _LONG if deadline is None else max(deadline - time.monotonic(), 0.0)
                records = subscription.receive(left)
                if not records and deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError(f"{len(pending)} of {len(set(task_ids))} results not ready after {timeout:g} s")
                for record in records:
                    pending.discard(record.task_id)
                    yield record

    def subscribe(self) -> ResultSubscription:
        """Open a subscription."""
        from tq_core.backends.memory_subscription import MemorySubscription

        return MemorySubscription(self._open(), self._read)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete records."""
        results = self._open()
        with results.lock:
            for task_id in task_ids:
                results.records.pop(task_id, None)

    def clean_up(self) -> int:
        """Delete expired records and return how many."""
        results = self._open()
        with results.lock:
            return results.sweep()

    def close(self) -> None:
        """Do nothing: the results stay, for whoever uses the same URL."""

    # groups

    def save_group(self, group_id: str, result: Any) -> None:
        """Keep a group's result tuple."""
        data = self._serializer.dumps(result)
        results = self._open()
        with results.lock:
            results.groups[group_id] = (data, self._deadline())

    def load_group(self, group_id: str) -> Any | None:
        """Return the tuple kept by :meth:`save_group`, or None."""
        saved = self._open().groups.get(group_id)
        if saved is None or saved[1] <= clock.monotonic():
            return None
        return self._serializer.loads(saved[0])

    def delete_group(self, group_id: str) -> None:
        """Forget a saved group."""
        self._open().groups.pop(group_id, None)

    # chords

    def enlarge_chord(self, group_id: str, by: int) -> None:
        """Let the chord wait for more parts."""
        results = self._open()
        with results.lock:
            results.chords.enlarge(group_id, by)

    def open_chord(self, group_id: str, size: int) -> None:
        """Say how many parts the chord waits for."""
        results = self._open()
        with results.lock:
            results.chords.open(group_id, size, self._deadline())

    def add_chord_parts(self, parts: Sequence[ChordPart], *, claimant: str, lease: float) -> list[str]:
        """Record parts and claim the chords they complete."""
        batch = [(part, self._serializer.dumps(part.result)) for part in parts]
        results = self._open()
        with results.lock:
            return results.chords.add(batch, claimant, lease, self._deadline())

    def chord_parts(self, group_id: str) -> list[ChordPart]:
        """Return the parts recorded, by index."""
        results = self._open()
        with results.lock:
            parts = results.chords.parts(group_id)
        return [replace(part, result=self._serializer.loads(data)) for part, data in parts]

    def close_chord(self, group_id: str) -> None:
        """Drop the parts and remember that the body was sent."""
        results = self._open()
        with results.lock:
            results.chords.close(group_id, self._deadline())

    def coordination(self) -> Coordination:
        """Return the namespace's coordination primitives."""
        return self._open().coordination
