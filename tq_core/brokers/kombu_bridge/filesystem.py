"""kombu's filesystem transport, with files that appear whole and are taken once.

The folders, names and contents of the files are kombu's, so that Celery shares them. kombu writes a message into a
file that readers already see, and a reader that is quick takes half of it; here a file gets its name when it is
complete, and a file that another program still writes is left alone.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections import deque
from errno import EXDEV
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

from tq_core.brokers.kombu_bridge.envelope import Unreadable

if os.name == "posix":
    import fcntl

#: Seconds after which an empty file is taken for a message that will never be written.
_ABANDONED = 60.0

_serials = itertools.count()


class Channel(filesystem.Channel):
    """A channel of one process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._listed: dict[str, deque[str]] = {}

    def probe(self) -> None:
        """Make sure that messages can be written.

        Raises:
            ChannelError: the folder is not there, or not this user's.
        """
        folder = Path(self.data_folder_out)
        if not os.access(folder, os.W_OK | os.X_OK):
            what = "cannot be written to" if folder.is_dir() else "does not exist"
            raise ChannelError(f"the folder {str(folder)!r} (data_folder_out) {what}")

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as in kombu
        # kombu orders messages by the milliseconds at the front; what follows keeps those of one millisecond in order.
        stem = f"{round(time.monotonic() * 1000)}_{next(_serials):012x}-{os.getpid():x}-{os.urandom(4).hex()}"
        file = Path(self.data_folder_out) / f"{stem}.{queue}.msg"
        if file.parent != Path(self.data_folder_out):
            raise ChannelError(f"a queue cannot be named {queue!r} here: its name is part of a file name")
        part = file.with_name(f".{stem}.part")
        try:
            part.write_bytes(dumps(payload).encode("utf-8", "surrogatepass"))
            part.replace(file)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ChannelError(f"the message cannot be written to {str(file.parent)!r}: {error.strerror}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        listed = self._listed.get(queue)
        if not listed:
            listed = self._listed[queue] = self._list(queue)
        while listed:
            file = Path(self.data_folder_in) / listed.popleft()
            raw = self._content(file)
            if raw is None or not self._take(file):
                continue
            try:
                return loads(raw.decode("utf-8", "surrogatepass"))
            except Exception as error:  # kombu's decoder raises what its converters raise
                raise Unreadable(f"the file {file.name} is not JSON ({type(error).__name__})", raw) from None
        raise Empty

    def _list(self, queue: str) -> deque[str]:
        ending = f"{queue}.msg"
        return deque(sorted(name for name in os.listdir(self.data_folder_in) if name.partition(".")[2] == ending))

    def _content(self, file: Path) -> bytes | None:
        """Return what is in a file, or None when it is gone or still being written."""
        try:
            with file.open("rb", buffering=0) as opened:
                if os.name == "posix":
                    fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
                raw = opened.readall()
                if raw or time.time() - os.fstat(opened.fileno()).st_mtime > _ABANDONED:
                    return raw
        except (BlockingIOError, FileNotFoundError):
            pass
        return None

    def _take(self, file: Path) -> bool:
        """Remove a file; False when somebody else was faster."""
        try:
            if self.store_processed:
                self._keep(file)
            else:
                file.unlink()
        except FileNotFoundError:
            return False
        return True

    def _keep(self, file: Path) -> None:
        kept = Path(self.processed_folder) / file.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            file.rename(kept)
        except OSError as error:
            if error.errno != EXDEV:
                raise
            shutil.copyfile(file, kept)
            file.unlink()


class Transport(filesystem.Transport):
    """The transport of ``filesystem://`` URLs."""

    Channel = Channel
