"""The runner's end of the pipe to its supervisor.

Few words pass here, none of them per task: *drain*, *revoke* and questions one way, *ready* and answers the other.
When the pipe
closes the supervisor is gone; the runner then finishes what it runs, gives the rest back, and ends.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

logger = logging.getLogger(__name__)


class Mailbox(threading.Thread):
    """Reads the supervisor's words and calls what they name.

    Args:
        connection: to the supervisor.
        words: what can be called, by word, with the rest of the message as arguments; an answer other than None is
            sent back.
        orphaned: called when the supervisor is gone.
    """

    def __init__(
        self,
        connection: Connection,
        words: Mapping[str, Callable[..., Any]],
        orphaned: Callable[[], None],
    ) -> None:
        super().__init__(name="Mailbox", daemon=True)
        self._connection = connection
        self._words = words
        self._orphaned = orphaned
        self._sending = threading.Lock()

    def say(self, word: str, *rest: Any) -> None:
        """Send a word to the supervisor; may be called from any thread. Silent when the supervisor is gone."""
        try:
            with self._sending:
                self._connection.send((word, *rest))
        except (OSError, ValueError):
            logger.debug("The supervisor is gone; %r was not said", word)

    def run(self) -> None:
        """Listen until the pipe closes."""
        while True:
            try:
                word, *rest = self._connection.recv()
            except (EOFError, OSError):
                self._orphaned()
                return
            answer = self._words[word](*rest)
            if answer is not None:
                self.say("answer", word, answer)
