"""The board: a small shared memory on which runners note what they are doing, and behind it the node's rate limits.

One row for each slot of each runner. The runner writes a row when a task starts and when it ends, without a lock and
without a message; the supervisor reads. So when a runner dies its supervisor knows which task it ran, and a task past
its hard limit is
found by looking. Times are of the monotonic clock, which the processes of one machine share.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tq_core.runner import buckets
from tq_core.runner.buckets import Buckets

_IDLE, _BUSY = 0, 1
_ID_BYTES = 160
_NAME_BYTES = 160
#: state, length of id, length of name, start, hard deadline (0 = none); then id and name.
_HEAD = struct.Struct("=BBBxxxxxdd")
_ROW = _HEAD.size + _ID_BYTES + _NAME_BYTES
#: Tasks finished since the runner came up.
_COUNT = struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class BusySlot:
    """What one slot is running.

    Attributes:
        slot: its number in the runner.
        task_id: id of the task, cut at 160 bytes.
        task_name: name of the task, cut at 160 bytes.
        started: monotonic seconds.
        deadline: monotonic seconds of its hard limit, or None.
    """

    slot: int
    task_id: str
    task_name: str
    started: float
    deadline: float | None


def shown_id(task_id: str) -> str:
    """Return an id as the board shows it."""
    return _id_bytes(task_id).decode("utf-8", "replace")


def _id_bytes(task_id: str) -> bytes:
    return task_id.encode("utf-8", "replace")[:_ID_BYTES]


class Board:
    """Shared memory for ``runners`` runners of ``slots`` slots, which only this user can open.

    The supervisor makes one and hands its path (or, when forking, the object itself) to the runners.

    Attributes:
        buckets: of the rate limits that hold in this node.
    """

    def __init__(self, runners: int, slots: int, path: str | None = None) -> None:
        self.runners = runners
        self.slots = slots
        self._runner_size = _COUNT.size + slots * _ROW
        rows = max(1, runners) * self._runner_size
        size = rows + buckets.SIZE
        self._file: Path | None = None
        if path is not None:
            self._handle = os.open(path, os.O_RDWR)
        elif hasattr(os, "memfd_create"):
            # Memory without a file: nothing is left behind, however the supervisor ends.
            self._handle = os.memfd_create("tq-board")
            os.ftruncate(self._handle, size)
            path = f"/proc/{os.getpid()}/fd/{self._handle}"
        else:
            self._handle, path = tempfile.mkstemp(prefix="tq-board-")
            os.ftruncate(self._handle, size)
            self._file = Path(path)
        self._memory = mmap.mmap(self._handle, size)
        self.path = path
        self.buckets = Buckets(self._memory, rows, self._handle)

    def row(self, runner: int) -> BoardRow:
        """Return the rows of one runner, for that runner to write."""
        return BoardRow(self._memory, runner * self._runner_size, self.slots)

    def busy(self, runner: int) -> list[BusySlot]:
        """Return what a runner's slots are running."""
        found = []
        start = runner * self._runner_size + _COUNT.size
        for slot in range(self.slots):
            at = start + slot * _ROW
            state, id_length, name_length, started, deadline = _HEAD.unpack_from(self._memory, at)
            if state == _BUSY:
                at += _HEAD.size
                task_id = self._memory[at : at + id_length].decode("utf-8", "replace")
                at += _ID_BYTES
                name = self._memory[at : at + name_length].decode("utf-8", "replace")
                found.append(BusySlot(slot, task_id, name, started, deadline or None))
        return found

    def finished(self, runner: int) -> int:
        """Return how many tasks a runner has finished."""
        return int(_COUNT.unpack_from(self._memory, runner * self._runner_size)[0])

    def clear(self, runner: int) -> None:
        """Wipe a dead runner's rows for its successor."""
        start = runner * self._runner_size
        self._memory[start : start + self._runner_size] = bytes(self._runner_size)

    def close(self) -> None:
        """Give the memory back, and its file if it has one."""
        self._memory.close()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self._file is not None:
            self._file.unlink(missing_ok=True)


class BoardRow:
    """One runner's rows, written by its pool's threads; each slot has one writer at a time."""

    __slots__ = ("_count_at", "_finished", "_free", "_memory", "_slots_at")

    def __init__(self, memory: mmap.mmap, at: int, slots: int) -> None:
        self._memory = memory
        self._count_at = at
        self._slots_at = at + _COUNT.size
        self._finished = 0
        # A list's pop and append are atomic; threads take and return slot numbers without a lock.
        self._free = list(range(slots - 1, -1, -1))

    def start(self, task_id: str, task_name: str, started: float, deadline: float | None) -> int:
        """Note that a task starts, and return the slot to give to :meth:`end`.

        Args:
            task_id, task_name: of the task.
            started: monotonic seconds.
            deadline: monotonic seconds of the hard limit, or None.
        """
        try:
            slot = self._free.pop()
        except IndexError:
            return -1  # more threads than rows, right after the pool grew: the task runs unwatched
        id_bytes = _id_bytes(task_id)
        name_bytes = task_name.encode("utf-8", "replace")[:_NAME_BYTES]
        at = self._slots_at + slot * _ROW
        memory = self._memory
        body = at + _HEAD.size
        memory[body : body + len(id_bytes)] = id_bytes
        body += _ID_BYTES
        memory[body : body + len(name_bytes)] = name_bytes
        # The state goes last: a reader never sees a busy row with somebody else's id.
        _HEAD.pack_into(memory, at, _BUSY, len(id_bytes), len(name_bytes), started, deadline or 0.0)
        return slot

    def end(self, slot: int) -> None:
        """Note that the task in ``slot`` ended."""
        if slot >= 0:
            self._memory[self._slots_at + slot * _ROW] = _IDLE
            self._free.append(slot)
        self._finished += 1
        _COUNT.pack_into(self._memory, self._count_at, self._finished)
