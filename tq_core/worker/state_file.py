"""The file of ``worker_state_db`` (``--statedb``): what a node has been told to revoke, over its restarts."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from tq_core.errors import ImproperlyConfigured
from tq_core.runner.revocations import Revocations, Stamp

_FORMAT = "tq-worker-state-1"


class StateFile:
    """One node's file. Used by the supervisor's main thread.

    Args:
        path: the file, which need not exist.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def load(self, revoked: Revocations) -> None:
        """Add what the file holds.

        Raises:
            ImproperlyConfigured: it is no such file, or cannot be read.
        """
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise ImproperlyConfigured(f"worker_state_db: {self._path} cannot be read: {error.strerror}") from error
        if not text:
            return
        try:
            kept = json.loads(text)
            if kept["format"] != _FORMAT:
                raise ValueError(kept["format"])
            now = time.time()
            for task_id, until in kept["ids"]:
                if until > now:
                    revoked.update([task_id], lifetime=until - now)
            for header, value, until in kept["stamps"]:
                if until > now:
                    revoked.update((), [Stamp(header, value)], lifetime=until - now)
        except (ValueError, TypeError, KeyError) as error:
            raise ImproperlyConfigured(
                f"worker_state_db: {self._path} is not a state file of tq (Celery's have another form); "
                "name another file, or remove it"
            ) from error

    def save(self, revoked: Revocations) -> None:
        """Write all that is revoked, as a whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        now = time.time()
        ids, stamps = revoked.lasting()
        kept = {
            "format": _FORMAT,
            "ids": [[task_id, now + left] for task_id, left in ids],
            "stamps": [[*stamp, now + left] for stamp, left in stamps],
        }
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            with new.open("w") as file:
                json.dump(kept, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        finally:
            new.unlink(missing_ok=True)
