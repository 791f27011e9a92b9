"""A way around tq into the queues of a broker: what a stranger's program, or a hand at the prompt, puts there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

#: The parts of a message that are not as in any good one, by name; ``headers``, ``body`` and ``content_type`` are known
#: to every way, the others to one.
Parts = Mapping[str, Any]

#: The task that good messages name, and one that no project has.
TASK, UNKNOWN = "project.good", "project.unknown"

#: The body of a good message.
BODY = b"[[1], {}, {}]"


class RawQueue(ABC):
    """The queue ``celery``, without tq.

    Attributes:
        bad: kinds of messages that no sender could make and this way can; all are buried.
        odd: kinds that are strange and no reason to refuse them: what is asked of the worker is to live.
    """

    bad: ClassVar[Mapping[str, Parts]]
    odd: ClassVar[Mapping[str, Parts]]

    @abstractmethod
    def put(self, task_id: str, parts: Parts) -> bool:
        """Put a message at the end of the queue; False when the broker itself refuses such a thing.

        Args:
            task_id: its id, unless a part says otherwise; :meth:`buried` knows it by this name.
            parts: what is not as in any good message.
        """

    @abstractmethod
    def buried(self) -> dict[str, str]:
        """Return the reasons of all dead letters by the names of their messages."""

    @abstractmethod
    def close(self) -> None:
        """Close its connection."""
