"""Dead letters: a message's file in ``buried/``, and beside it the reason in ``reasons/``."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tq_core.contracts.broker import Bury, DeadLetter
from tq_core.message import Message

from tq_broker_directory.envelope import read, written
from tq_broker_directory.layout import Name, directory_name, entries_of, move, order_of, text_of, token


class Letters:
    """The dead letters of one directory. A letter is there once its message's file is."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def take(self, file: Path, why: Bury) -> str | None:
        """Bury a held file; return the letter's id, or None when the file was not held any more."""
        return self._bury(file, text_of(file.parent), Name.of(file).deliveries, why)

    def add(self, queue: str, message: Message, why: Bury) -> str:
        """Bury a message that nobody holds."""
        file = self._root / "new" / token()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(written(message))
        letter_id = self._bury(file, queue, 0, why)
        assert letter_id is not None  # a file that was just written under a name of its own
        return letter_id

    def _bury(self, file: Path, queue: str, deliveries: int, why: Bury) -> str | None:
        letter_id = order_of(time.time())
        reason = self._root / "reasons" / letter_id
        reason.parent.mkdir(parents=True, exist_ok=True)
        facts = {
            "queue": queue,
            "reason": why.reason,
            "traceback": why.traceback,
            "buried_at": time.time(),
            "delivery_count": deliveries,
        }
        reason.write_text(json.dumps(facts), "utf-8")
        if move(file, self._root / "buried", letter_id) is None:
            reason.unlink()
            return None
        return letter_id

    def newest_first(self, queue: str | None, limit: int) -> Iterator[DeadLetter]:
        """Yield letters."""
        found = sorted((file.name for file in entries_of(self._root / "buried")), reverse=True)
        letters = (letter for name in found if (letter := self.get(name)) is not None)
        wanted = (letter for letter in letters if queue is None or letter.queue == queue)
        for letter, _ in zip(wanted, range(limit), strict=False):
            yield letter

    def get(self, letter_id: str) -> DeadLetter | None:
        """Return one letter, or None."""
        try:
            data = self._file(letter_id).read_bytes()
            facts: dict[str, Any] = json.loads(self._reason(letter_id).read_text("utf-8"))
        except FileNotFoundError:
            return None
        try:
            return DeadLetter(letter_id=letter_id, message=read(data), **facts)
        except (TypeError, ValueError):
            return DeadLetter(letter_id=letter_id, message=None, raw=data, **facts)

    def exhume(self, letter_id: str) -> bool:
        """Put a letter back into its queue with a fresh count; False when there is none."""
        letter = self.get(letter_id)
        if letter is None:
            return False
        queue = self._root / "queues" / directory_name(letter.queue)
        moved = move(self._file(letter_id), queue, str(Name(order_of(time.time()))))
        return moved is not None and self._forget(letter_id)

    def drop(self, letter_id: str) -> bool:
        """Delete a letter; False when there is none."""
        try:
            self._file(letter_id).unlink()
        except FileNotFoundError:
            return False
        return self._forget(letter_id)

    def _forget(self, letter_id: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            self._reason(letter_id).unlink()
        return True

    def _file(self, letter_id: str) -> Path:
        return self._root / "buried" / Path(letter_id).name

    def _reason(self, letter_id: str) -> Path:
        return self._root / "reasons" / Path(letter_id).name
