"""Attributes of tasks that remote control changes while a node runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tq_core.errors import NotRegistered
from tq_core.worker.limit_checks import check_rate_limit, check_time_limits

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.contracts.pool import PoolCapabilities


class TaskChanges:
    """Changes tasks in the supervisor, from which runners may be forked, and in all runners. Main thread only.

    Args:
        app: the application.
        tell: says a word, and the rest, to every runner.
        pool: name of the pool.
        capabilities: of the pool.
    """

    def __init__(self, app: Celery, tell: Callable[..., None], pool: str, capabilities: PoolCapabilities) -> None:
        self._app = app
        self._tell = tell
        self._pool = pool
        self._capabilities = capabilities
        self._changed: dict[str, dict[str, Any]] = {}

    def all(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Return what was changed, for runners that start later."""
        return tuple((name, dict(values)) for name, values in self._changed.items())

    def knows(self, name: str) -> bool:
        """Tell whether there is a task of this name."""
        try:
            return isinstance(name, str) and self._app.tasks[name] is not None
        except NotRegistered:
            return False

    def set_rate_limit(self, name: str, limit: Any) -> None:
        """Give a task another rate limit.

        Raises:
            ImproperlyConfigured: it cannot be read, or not be kept; nothing has changed.
        """
        check_rate_limit(self._app, self._app.tasks[name], limit)
        self._change(name, rate_limit=limit)

    def set_time_limits(self, name: str, soft: float | None, hard: float | None) -> None:
        """Give a task other time limits, in seconds; None takes one away.

        Raises:
            ImproperlyConfigured: the pool cannot keep them; nothing has changed.
        """
        check_time_limits(name, self._pool, self._capabilities, soft=soft, hard=hard)
        self._change(name, soft_time_limit=soft, time_limit=hard)

    def _change(self, name: str, **values: Any) -> None:
        task = self._app.tasks[name]
        for attribute, value in values.items():
            setattr(task, attribute, value)
        self._changed.setdefault(name, {}).update(values)
        self._tell("change", name, values)
