"""What a worker node does when it is asked to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tq_core.control.clock import LamportClock
from tq_core.errors import NotSupported
from tq_core.runner.revocations import Revocations

logger = logging.getLogger("tq.worker.control")


class Commands:
    """The methods of one node. Called by the supervisor's main thread.

    Args:
        node: the node's name.
        revoked: what must not run on this node.
        tell: takes ids that are revoked from now on to the runners.
        clock: the node's clock of messages.
    """

    def __init__(
        self, node: str, revoked: Revocations, tell: Callable[[Iterable[str]], None], clock: LamportClock
    ) -> None:
        self._node = node
        self._revoked = revoked
        self._tell = tell
        self._clock = clock
        self._methods: Mapping[str, Callable[..., Any]] = {
            "ping": self._ping,
            "revoke": self._revoke,
            "hello": self._hello,
        }

    def run(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """Do what is asked and return the answer.

        Raises:
            NotSupported: this worker has no such method.
            TypeError, ValueError: an argument is missing, unknown or cannot be used.
        """
        known = self._methods.get(method)
        if known is None:
            raise NotSupported(f"this worker does not know {method!r:.60}; it knows {', '.join(self._methods)}")
        return known(**arguments)

    def _ping(self, **_: Any) -> dict[str, str]:
        return {"ok": "pong"}

    def _revoke(self, task_id: Any, terminate: Any = False, signal: Any = None, **_: Any) -> dict[str, str]:
        ids = [task_id] if isinstance(task_id, str) else task_id
        if not isinstance(ids, (list, tuple, set, frozenset)) or not all(isinstance(one, str) for one in ids):
            raise ValueError(f"task_id must be an id or a list of ids, not {type(task_id).__name__}")
        self._revoked.update(ids)
        self._tell(ids)
        logger.info("Tasks flagged as revoked: %.1000s", ", ".join(ids))
        if terminate:
            # Said, not passed over: whoever asked may count on the task having been stopped.
            text = f"tasks {set(ids)} flagged as revoked, but this worker cannot terminate tasks that run already"
            logger.warning("%.1000s", text)
            return {"error": text}
        # The very words of Celery's workers, which show the ids as a set.
        return {"ok": f"tasks {set(ids)} flagged as revoked"}

    def _hello(self, from_node: Any = None, revoked: Any = None, **_: Any) -> dict[str, Any] | None:
        """Greet a node that has just started: exchange what is revoked."""
        if from_node == self._node:
            return None
        if isinstance(revoked, (Mapping, list, tuple, set, frozenset)):
            told = [one for one in revoked if isinstance(one, str) and one not in self._revoked]
            if told:
                self._revoked.update(told)
                self._tell(told)
        return {"revoked": list(self._revoked.ids()), "clock": self._clock.forward()}
