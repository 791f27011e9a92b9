"""Limits that cannot be kept are refused: at the start of a worker, and when one is set while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tq_core.errors import ImproperlyConfigured
from tq_core.runner.buckets import ROWS
from tq_core.runner.rates import DEPLOYMENT, rate_of

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.contracts.pool import PoolCapabilities
    from tq_core.task import Task


def check_limits(app: Celery, pool: str, capabilities: PoolCapabilities) -> None:
    """Check the limits of all tasks.

    Args:
        app: the application, its tasks imported.
        pool: name of the worker's pool.
        capabilities: of the pool.

    Raises:
        ImproperlyConfigured: one of them cannot be read, or not be kept; names the task and says what to do.
    """
    limited = 0
    for task in app.tasks.values():
        if not app.conf.worker_disable_rate_limits:
            limited += check_rate_limit(app, task, task.rate_limit)
        check_time_limits(task.name, pool, capabilities, soft=task.soft_time_limit, hard=task.time_limit)
    if limited > ROWS:
        raise ImproperlyConfigured(f"{limited} tasks have a rate limit, a worker can keep {ROWS}; limit fewer tasks")


def check_rate_limit(app: Celery, task: Task, limit: Any) -> bool:
    """Check a rate limit that a task has or is to have, and tell whether it is one.

    Args:
        app: the application.
        task: the task.
        limit: the limit.

    Raises:
        ImproperlyConfigured: it cannot be read, or not be kept.
    """
    try:
        rate = rate_of(limit, task.rate_limit_scope)
    except ValueError as error:
        raise ImproperlyConfigured(f"Task {task.name}: {error}") from None
    if rate is None:
        return False
    capabilities = app.backend.capabilities if rate.scope == DEPLOYMENT else None
    if capabilities is not None and not (capabilities.coordination and capabilities.shared):
        raise ImproperlyConfigured(
            f"The rate limit of task {task.name} is to hold for the whole deployment, but the result backend "
            f"{app.backend_address} offers no coordination that other workers share: use one that does (redis://, "
            "postgresql://, mysql://, sqlite:///), or task_rate_limit_scope = 'worker'"
        )
    return True


def check_time_limits(
    name: str, pool: str, capabilities: PoolCapabilities, *, soft: float | None, hard: float | None
) -> None:
    """Check that a pool can keep a task's time limits on this platform.

    Args:
        name: of the task.
        pool: name of the pool.
        capabilities: of the pool.
        soft, hard: seconds, or None.

    Raises:
        ImproperlyConfigured: it cannot.
    """
    if soft is not None and not capabilities.soft_limit:
        raise _not_kept(name, f"soft time limit of {soft:g} seconds", pool, "interrupt a running task")
    if hard is not None and not (capabilities.hard_limit or capabilities.isolated):
        raise _not_kept(name, f"time limit of {hard:g} seconds", pool, "stop a running task")


def _not_kept(name: str, limit: str, pool: str, ability: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"Task {name} has a {limit}, but the pool {pool!r} cannot {ability} on this platform: "
        "choose another pool (-P), see docs/pools.md, or take the limit away"
    )
