"""What a worker node does when it is asked to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tq_core.control.clock import LamportClock
from tq_core.errors import ImproperlyConfigured, NotSupported
from tq_core.runner.revocations import stamps_of
from tq_core.worker.signal_names import signal_number

if TYPE_CHECKING:
    from tq_core.worker.revocation import Revocation
    from tq_core.worker.task_changes import TaskChanges

logger = logging.getLogger("tq.worker.control")


class Commands:
    """The methods of one node. Called by the supervisor's main thread.

    Args:
        node: the node's name.
        revocation: what must not run on this node.
        changes: changes tasks.
        clock: the node's clock of messages.
    """

    def __init__(self, node: str, revocation: Revocation, changes: TaskChanges, clock: LamportClock) -> None:
        self._node = node
        self._revocation = revocation
        self._changes = changes
        self._clock = clock
        self._methods: Mapping[str, Callable[..., Any]] = {
            "ping": self._ping,
            "revoke": self._revoke,
            "revoke_by_stamped_headers": self._revoke_by_stamped_headers,
            "terminate": self._terminate,
            "rate_limit": self._rate_limit,
            "time_limit": self._time_limit,
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

    # What the answers say is what Celery's workers say: programs read it.

    def _revoke(self, task_id: Any, terminate: Any = False, signal: Any = None, **_: Any) -> dict[str, str]:
        ids = [task_id] if isinstance(task_id, str) else task_id
        if not isinstance(ids, (list, tuple, set, frozenset)) or not all(isinstance(one, str) for one in ids):
            raise ValueError(f"task_id must be an id or a list of ids, not {type(task_id).__name__}")
        ids = list(ids)
        number = signal_number(signal) if terminate else 0
        self._revocation.add(ids)
        logger.info("Tasks flagged as revoked: %.1000s", ", ".join(ids))
        if not terminate:
            return {"ok": f"tasks {set(ids)} flagged as revoked"}
        found = self._revocation.terminate(ids, [], number)
        return {"ok": f"terminate: {', '.join(found)}" if found else "terminate: tasks unknown"}

    def _terminate(self, task_id: Any, signal: Any = None, **_: Any) -> dict[str, str]:
        return self._revoke(task_id, terminate=True, signal=signal)

    def _revoke_by_stamped_headers(
        self, headers: Any, terminate: Any = False, signal: Any = None, **_: Any
    ) -> dict[str, str]:
        if isinstance(headers, (list, tuple)) and all(isinstance(one, str) for one in headers):
            headers = dict(one.partition("=")[::2] for one in headers)  # the form of Celery's command line
        if not isinstance(headers, Mapping):
            raise ValueError(f"headers must be values by the names of headers, not {type(headers).__name__}")
        stamps = stamps_of(headers)
        number = signal_number(signal) if terminate else 0
        self._revocation.add([], stamps)
        logger.info("Stamped headers flagged as revoked: %.1000s", headers)
        if not terminate:
            return {"ok": f"headers {headers} flagged as revoked, but not terminated"}
        self._revocation.terminate([], stamps, number)
        return {"ok": f"headers {headers} revoked"}

    def _rate_limit(self, task_name: Any, rate_limit: Any, **_: Any) -> dict[str, str]:
        if not self._changes.knows(task_name):
            logger.error("Rate limit of a task that is not known: %.100r", task_name)
            return {"error": "unknown task"}
        try:
            self._changes.set_rate_limit(task_name, rate_limit)
        except ImproperlyConfigured as error:
            return {"error": f"Invalid rate limit string: {error}"}
        if not rate_limit:
            logger.info("No rate limit for %s any more", task_name)
            return {"ok": "rate limit disabled successfully"}
        logger.info("New rate limit for %s: %s", task_name, rate_limit)
        return {"ok": "new rate limit set successfully"}

    def _time_limit(self, task_name: Any = None, hard: Any = None, soft: Any = None, **_: Any) -> dict[str, str]:
        if not self._changes.knows(task_name):
            logger.error("Time limit of a task that is not known: %.100r", task_name)
            return {"error": "unknown task"}
        try:
            self._changes.set_time_limits(task_name, _seconds(soft), _seconds(hard))
        except ImproperlyConfigured as error:
            return {"error": str(error)}
        logger.info("New time limits for %s: soft=%s hard=%s", task_name, soft, hard)
        return {"ok": "time limits set successfully"}

    def _hello(self, from_node: Any = None, revoked: Any = None, **_: Any) -> dict[str, Any] | None:
        """Greet a node that has just started: exchange what is revoked."""
        if from_node == self._node:
            return None
        if isinstance(revoked, (Mapping, list, tuple, set, frozenset)):
            self._revocation.learn([one for one in revoked if isinstance(one, str)])
        return {"revoked": list(self._revocation.revoked.ids()), "clock": self._clock.forward()}


def _seconds(given: Any) -> float | None:
    """Return a time limit, which a command line gives as text.

    Raises:
        ValueError: it is no number of seconds above 0.
    """
    if given is None or given == "":
        return None
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        seconds = 0.0
    if isinstance(given, bool) or not 0 < seconds < float("inf"):
        raise ValueError(f"a time limit is a number of seconds above 0, not {given!r:.60}")
    return seconds
