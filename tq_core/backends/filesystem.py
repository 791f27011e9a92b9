"""The filesystem backend: one file a result, in a directory that callers and workers share.

Names and contents are those of Celery's ``file://`` backend: ``celery-task-meta-<id>`` holds the serialized
meta map. A file is written beside its place and moved there, so that a reader sees the old or the new
result, never half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tq_core.backends import document
from tq_core.contracts.backend import Backend, BackendCapabilities, BackendRequest, ResultRecord
from tq_core.errors import BackendError, BackendUnavailable, DecodeError, ImproperlyConfigured, TimeoutError
from tq_core.states import READY_STATES, SUCCESS

#: What the filesystem backend can do.
CAPABILITIES = BackendCapabilities(groups=True, expiry=True)

TASK_PREFIX = "celery-task-meta-"
GROUP_PREFIX = "celery-taskset-meta-"
#: Ends the names of files that are being written; a reader never looks at them.
UNFINISHED = ".unfinished"


class FilesystemBackend(Backend):
    """The backend of ``file:///directory`` and ``filesystem:///directory`` URLs.

    Two processes storing different states of one task in the same instant may both find no ``SUCCESS`` yet;
    the later write wins. One process runs a task at a time, so that this needs a lost lease to happen.

    Args:
        request: ``result_expires`` and ``global_keyprefix`` of ``result_backend_transport_options`` are read.

    Raises:
        ImproperlyConfigured: the URL names no directory, or the result serializer is not accepted.
    """

    capabilities = CAPABILITIES

    def __init__(self, request: BackendRequest) -> None:
        document.require_accepted(request)
        parts = urlsplit(request.url)
        if parts.netloc not in {"", "localhost"} or not parts.path.strip("/"):
            raise ImproperlyConfigured(
                f"the result backend URL {request.url!r} names no directory; write three slashes, like"
                " file:///var/lib/tq/results"
            )
        self.directory = Path(unquote(parts.path))
        options = request.settings.get("result_backend_transport_options") or {}
        self._prefix = str(options.get("global_keyprefix") or "")
        self._serializer = request.serializer
        self._lifetime = document.lifetime(request.settings)
        self._writes = itertools.count()
        #: By process id: a forked child gets its own, for a thread of the parent may hold the parent's for ever.
        self._locks: dict[int, threading.Lock] = {}

    # --- files

    def _path(self, prefix: str, key: str) -> Path:
        """Return the file of a key; what may not stand in a name is quoted, what is too long is hashed."""
        name = quote(self._prefix + prefix + key, safe=" !#$&'()+,;=@[]{}~^")
        if len(name) > 200:
            name = prefix + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return self.directory / name

    def _write(self, path: Path, data: bytes) -> None:
        """Replace a file's content in one step."""
        unfinished = path.with_name(f".{os.getpid()}-{next(self._writes)}{UNFINISHED}")
        try:
            unfinished.write_bytes(data)
            os.replace(unfinished, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise self._unavailable("write to", error) from error

    def _read(self, path: Path) -> bytes | None:
        """Return a file's content, or None when there is no such file."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unavailable("read from", error) from error

    def _unavailable(self, what: str, error: OSError) -> BackendUnavailable:
        return BackendUnavailable(
            f"cannot {what} the directory {str(self.directory)!r} of the result backend:"
            f" {error.strerror or error}. Check that it exists, belongs to this user and has free space."
        )

    def connect(self, timeout: float) -> None:
        """Make sure the directory is there and can be written to.

        Raises:
            BackendUnavailable: it is not; the text names it and the reason.
        """
        probe = self.directory / f".{os.getpid()}-probe{UNFINISHED}"
        try:
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise self._unavailable("write to", error) from error

    # --- records

    def store(self, records: Sequence[ResultRecord]) -> None:
        """Write records; all are serialized before the first is written."""
        batch = [(r.task_id, r.state, document.write(r, self._serializer)) for r in records]
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            for task_id, _, data in batch:
                path = self._path(TASK_PREFIX, task_id)
                known = self._record(task_id, path)
                if known is None or known.state != SUCCESS:
                    self._write(path, data)

    def _record(self, task_id: str, path: Path | None = None) -> ResultRecord | None:
        path = path or self._path(TASK_PREFIX, task_id)
        data = self._read(path)
        return None if data is None else document.read(data, self._serializer, f"in {str(path)!r}")

    def fetch(self, task_ids: Sequence[str]) -> dict[str, ResultRecord]:
        """Return the records there are."""
        found = ((task_id, self._record(task_id)) for task_id in dict.fromkeys(task_ids))
        return {task_id: record for task_id, record in found if record is not None}

    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        """Yield each task's record once, when it is in a ready state; looks every ``interval`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pending = dict.fromkeys(task_ids)
        total = len(pending)
        pause = threading.Event()
        while pending:
            for task_id in list(pending):
                record = self._record(task_id)
                if record is not None and record.state in READY_STATES:
                    del pending[task_id]
                    yield record
            if pending:
                left = interval if deadline is None else min(interval, deadline - time.monotonic())
                if left <= 0:
                    raise TimeoutError(f"{len(pending)} of {total} results not ready after {timeout:g} s")
                pause.wait(left)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete records."""
        for task_id in task_ids:
            self._delete(self._path(TASK_PREFIX, task_id))

    def _delete(self, path: Path) -> bool:
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unavailable("delete from", error) from error
        return True

    def clean_up(self) -> int:
        """Delete the files of expired results, by their time of change, and return how many."""
        if self._lifetime is None:
            return 0
        oldest = time.time() - self._lifetime
        ours = tuple(self._path(prefix, "").name for prefix in (TASK_PREFIX, GROUP_PREFIX))
        try:
            with os.scandir(self.directory) as entries:
                expired = [Path(e.path) for e in entries if self._expired(e, ours, oldest)]
        except OSError as error:
            raise self._unavailable("list", error) from error
        return sum(self._delete(path) for path in expired)

    @staticmethod
    def _expired(entry: os.DirEntry[str], ours: tuple[str, ...], oldest: float) -> bool:
        """Tell whether a file is one of ours, finished or abandoned half-way, and older than ``oldest``."""
        if not (entry.name.startswith(ours) or entry.name.endswith(UNFINISHED)):
            return False
        try:
            return entry.stat().st_mtime < oldest
        except FileNotFoundError:  # another process cleans up as well
            return False

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    # --- groups

    def save_group(self, group_id: str, result: Any) -> None:
        """Keep a group's result tuple."""
        self._write(self._path(GROUP_PREFIX, group_id), self._serializer.dumps({"result": result}))

    def load_group(self, group_id: str) -> Any | None:
        """Return the tuple kept by :meth:`save_group`, or None."""
        path = self._path(GROUP_PREFIX, group_id)
        data = self._read(path)
        if data is None:
            return None
        try:
            return self._serializer.loads(data)["result"]
        except (DecodeError, KeyError, TypeError) as error:
            raise BackendError(f"the group in {str(path)!r} cannot be read: {error}") from error

    def delete_group(self, group_id: str) -> None:
        """Forget a saved group."""
        self._delete(self._path(GROUP_PREFIX, group_id))
