"""Station ↩: waiting for results, any number of them over one watch of the backend."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any

from tq_core import current
from tq_core.errors import BackendError, TimeoutError

if TYPE_CHECKING:
    from tq_core.contracts.backend import Backend, ResultRecord

#: Seconds between two calls of ``on_interval``, and between looks at a backend that cannot push.
INTERVAL = 0.5
_joining: ContextVar[bool | None] = ContextVar("tq_joining", default=None)

IN_TASK = (
    "Never call result.get() within a task, nor await a result! It holds a slot of the worker while the other task may "
    "wait for one. Use a chain or chord, or disable_sync_subtasks=False where another worker runs that task."
)


class RemoteTraceback(Exception):
    """The traceback of a task's exception, as text from the worker; the cause of what ``get()`` raises.

    Attributes:
        text: the traceback.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


@contextmanager
def allow_join_result() -> Iterator[None]:
    """While entered, waiting for a result inside a task is allowed."""
    yield from _with_joining(True)


@contextmanager
def denied_join_result() -> Iterator[None]:
    """While entered, waiting for a result is refused, also outside of a task."""
    yield from _with_joining(False)


def _with_joining(allowed: bool) -> Iterator[None]:
    token = _joining.set(allowed)
    try:
        yield
    finally:
        _joining.reset(token)


def assert_will_not_block() -> None:
    """Raise RuntimeError where waiting would hold a worker's slot: inside a task that a worker runs."""
    allowed = _joining.get()
    if allowed is None:
        request = current.running.get()
        while request is not None and request.called_directly:
            request = request.outer
        allowed = request is None or request.is_eager
    if not allowed:
        raise RuntimeError(IN_TASK)


def ready_records(
    backend: Backend,
    task_ids: Sequence[str],
    *,
    timeout: float | None = None,
    interval: float = INTERVAL,
    on_interval: Callable[[], Any] | None = None,
) -> Iterator[ResultRecord]:
    """Yield each task's record once, when it is ready.

    Args:
        backend: where results are.
        task_ids: whose.
        timeout: seconds for all of it, None for ever.
        interval: seconds between calls of ``on_interval``, and between looks where the backend cannot push.
        on_interval: called while waiting.

    Raises:
        TimeoutError: ``timeout`` passed.
        BackendError: there is no result backend, or it fails.
    """
    if not task_ids:
        return
    if not backend.capabilities.stores:
        raise no_backend()
    try:
        if on_interval is None:
            yield from backend.watch(task_ids, timeout=timeout, interval=interval)
        else:
            yield from _watch_in_turns(backend, list(task_ids), timeout, interval, on_interval)
    except builtins.TimeoutError:
        raise TimeoutError("The operation timed out.") from None


def _watch_in_turns(
    backend: Backend, task_ids: list[str], timeout: float | None, interval: float, on_interval: Callable[[], Any]
) -> Iterator[ResultRecord]:
    """Watch for ``interval`` seconds at a time; the caller's function is called in between."""
    deadline = None if timeout is None else monotonic() + timeout
    remaining = dict.fromkeys(task_ids)
    while remaining:
        turn = interval if deadline is None else min(interval, max(0.0, deadline - monotonic()))
        try:
            for record in backend.watch(list(remaining), timeout=turn, interval=interval):
                remaining.pop(record.task_id, None)
                yield record
        except builtins.TimeoutError:
            if deadline is not None and monotonic() >= deadline:
                raise
            on_interval()


def no_backend() -> BackendError:
    """Return the error of an application without a result backend."""
    return BackendError(
        "No result backend is configured, so results cannot be read: set result_backend, for instance to "
        "'redis://localhost/0' or 'db+sqlite:///results.db'"
    )
