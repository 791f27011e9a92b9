"""Ids of tasks and groups."""

from __future__ import annotations

import os

#: How many ids are made of one read from the system.
_BATCH = 128


class _Ids:
    """Random UUID4 texts, made from randomness fetched in batches."""

    __slots__ = ("_pid", "_ready")

    def __init__(self) -> None:
        # A list's pop is atomic: two threads never get the same id.
        self._ready: list[str] = []
        self._pid = 0

    def next(self) -> str:
        """Return a new id, a UUID of version 4 as text. Safe in any thread and after a fork."""
        pid = os.getpid()
        if pid != self._pid:
            # A forked child must not repeat what its parent will hand out.
            self._ready, self._pid = [], pid
        while True:
            try:
                text = self._ready.pop()
            except IndexError:
                random = os.urandom(16 * _BATCH).hex()
                self._ready += [random[at : at + 32] for at in range(0, len(random), 32)]
                continue
            variant = "89ab"[int(text[16], 16) & 3]
            return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


#: Return a new id; see :meth:`_Ids.next`.
new_id = _Ids().next
