"""Which application and which task are current.

The application is the one last made current in this thread, else the default one of the process. The request
of the running task is kept in a context variable, so threads and coroutines each see their own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from tq_core.app import Celery
    from tq_core.request import Request
    from tq_core.task import Task

#: The request of the task this thread or coroutine runs, or None.
running: ContextVar[Request | None] = ContextVar("tq_running", default=None)


class _Applications(threading.local):
    current: Celery | None = None


_thread = _Applications()
_default: list[Celery] = []
#: Every living application.
_apps: WeakSet[Celery] = WeakSet()
#: Functions that add a ``shared_task`` to an application, called for every application there is and will be.
_shared: list[Callable[[Celery], Any]] = []


def set_current_app(app: Celery) -> None:
    """Make ``app`` this thread's current application, and the process's default if there is none yet."""
    _thread.current = app
    if not _default:
        _default.append(app)


def set_default_app(app: Celery) -> None:
    """Make ``app`` what threads use that have no application of their own."""
    _default[:] = [app]


@contextmanager
def standing_in(app: Celery, *, here: bool = True) -> Iterator[None]:
    """While entered, ``app`` is current in every thread without an application of its own, and ``here`` in this one."""
    outer, outer_default = _thread.current, list(_default)
    set_default_app(app)
    if here:
        _thread.current = app
    try:
        yield
    finally:
        _thread.current = outer
        _default[:] = outer_default


def get_current_app() -> Celery:
    """Return the current application, making a default one if there is none.

    The default one takes its settings from what lies in the working directory, also from a ``celeryconfig.py``.
    """
    if _thread.current is not None:
        return _thread.current
    if not _default:
        from tq_core.app import Celery

        app = Celery("default", set_as_current=False)
        if os.path.isfile("celeryconfig.py"):
            app.config_from_file()
        set_default_app(app)
    return _default[0]


def get_current_task() -> Task | None:
    """Return the task this thread or coroutine runs, or None."""
    request = running.get()
    return request.task_object if request is not None else None


def add_app(app: Celery) -> None:
    """Let ``app`` have the shared tasks that are yet to be defined."""
    _apps.add(app)


def add_shared_task(connect: Callable[[Celery], Any]) -> None:
    """Run ``connect`` on every application: now where the others are in place already, else when they are."""
    _shared.append(connect)
    for app in list(_apps):
        if app.finalized:
            connect(app)


def shared_tasks() -> tuple[Callable[[Celery], Any], ...]:
    """Return the functions a new application must be handed to."""
    return tuple(_shared)
