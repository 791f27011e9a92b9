"""kombu's memory transport, fit for forks.

A forked child has a copy of the queues, and in them locks that another thread of its parent may have held. It gets
queues of its own instead.
"""

from __future__ import annotations

import os
from typing import Any

from kombu.transport import memory

#: Queues by process; the first one shares them with whatever else uses kombu's memory transport in it.
_QUEUES: dict[int, dict[str, Any]] = {os.getpid(): memory.Channel.queues}


class Channel(memory.Channel):
    """A channel of one process."""

    @property
    def queues(self) -> dict[str, Any]:
        """The queues of this process, by name."""
        return _QUEUES.setdefault(os.getpid(), {})

    @queues.setter
    def queues(self, queues: dict[str, Any]) -> None:
        """Keep them: kombu's channel forgets its queues when it closes, and those of this process stay."""


class Transport(memory.Transport):
    """The transport of ``kombu+memory://`` URLs."""

    Channel = Channel
