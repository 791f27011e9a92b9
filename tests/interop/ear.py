"""Hearing that a task has begun."""

from __future__ import annotations

import os
import select

from tq_core.testing.conformance.patience import PATIENCE


class Ear:
    """Hears when somebody has opened a named pipe for writing and closed it again.

    Args:
        fifo: path of the pipe.
    """

    def __init__(self, fifo: str) -> None:
        self._end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def wait(self) -> None:
        """Wait for it."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        assert poll.poll(PATIENCE * 1000), "no task has begun"

    def close(self) -> None:
        os.close(self._end)
