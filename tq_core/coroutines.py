"""Stepping the coroutine of a run: where an error can be raised in it, and on which event loop.

asyncio knows one way to interrupt a coroutine that awaits: cancelling it. A run can also be ended by its soft limit,
its hard limit or a revocation, and each has an error of its own. So the coroutine is stepped through :class:`Steering`,
which puts that error into the place of the bare cancellation.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any

from tq_core.errors import SoftTimeLimitExceeded

#: Seconds that tasks left on a loop get to end when it is closed.
_FAREWELL = 2.0


class SoftCancellation(SoftTimeLimitExceeded, asyncio.CancelledError):
    """The soft limit, as it is raised at an ``await``.

    Task groups and time-outs between the run's own code and what it awaits take it for a cancellation, so that they
    cancel what they have started.
    """


class Steering:
    """Steps one coroutine inside one asyncio task. Made in that task; all but :meth:`throw` belongs to its thread.

    Args:
        guard: its ``interruptible`` is True while the coroutine's own code runs; its ``throw`` raises an error where
            the coroutine awaits.
    """

    __slots__ = ("_guard", "_loop", "_reason", "_task", "_wanted")

    def __init__(self, guard: Any) -> None:
        self._guard = guard
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._wanted: BaseException | type[BaseException] | None = None
        self._reason: BaseException | type[BaseException] | None = None

    def throw(self, error: BaseException | type[BaseException]) -> None:
        """Raise an error in the coroutine where it awaits now, or next. From any thread; nothing when it has ended."""
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._cancel, error)

    def _cancel(self, error: BaseException | type[BaseException]) -> None:
        if self._guard.throw is not None and self._task is not None:
            self._wanted = error
            self._task.cancel()

    @types.coroutine
    def steer(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, None, Any]:
        """Run the coroutine to its end and return its value."""
        guard = self._guard
        guard.throw = self.throw
        step: Callable[[Any], Any] = coroutine.send
        value: Any = None
        try:
            while True:
                guard.interruptible = True
                try:
                    awaited = step(value)
                except StopIteration as stop:
                    return stop.value
                except asyncio.CancelledError as cancelled:
                    if self._reason is None:
                        raise
                    raise _instance(self._reason).with_traceback(cancelled.__traceback__) from None
                finally:
                    guard.interruptible = False
                step, value = coroutine.send, None
                try:
                    yield awaited
                except asyncio.CancelledError as cancelled:
                    step, value = coroutine.throw, self._meant_by(cancelled)
                except BaseException as error:  # the loop is gone, and the coroutine goes with it
                    step, value = coroutine.throw, error
                else:
                    if self._wanted is not None:
                        # What it awaited took the cancellation for itself, and ended all the same.
                        step, value = coroutine.throw, self._meant_by(asyncio.CancelledError())
        finally:
            guard.throw = None

    def _meant_by(self, cancelled: asyncio.CancelledError) -> BaseException:
        """Return what to raise for a cancellation, which may be none of ours."""
        if self._wanted is None:
            return cancelled
        self._reason, self._wanted = self._wanted, None
        if not _is_soft(self._reason):
            return cancelled
        # The run may go on to clean up, and time-outs in that part must not see a cancellation pending.
        if hasattr(self._task, "uncancel"):
            self._task.uncancel()  # type: ignore[union-attr]  # Python 3.11 and later
        return SoftCancellation()


def _instance(error: BaseException | type[BaseException]) -> BaseException:
    return error() if isinstance(error, type) else error


def _is_soft(error: BaseException | type[BaseException]) -> bool:
    kind = error if isinstance(error, type) else type(error)
    return issubclass(kind, SoftTimeLimitExceeded)


class KeptLoop:
    """An event loop that one thread keeps from run to run, so that clients bound to a loop stay usable."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._pid = os.getpid()

    @property
    def is_foreign(self) -> bool:
        """True in a forked child, where closing or using the loop would disturb the parent's."""
        return self._pid != os.getpid()

    @property
    def usable(self) -> bool:
        """True while it can run coroutines."""
        return not self.is_foreign and not self._loop.is_closed()

    def run(self, coroutine: Coroutine[Any, Any, Any], guard: Any) -> Any:
        """Run a coroutine to its end in the calling thread and return its value."""
        run = _Run(guard)
        task = self._loop.create_task(run.captured(coroutine))
        while True:
            try:
                self._loop.run_until_complete(task)
            except BaseException as error:  # raised in the loop itself: Ctrl-C, or a pool that cannot aim
                if task.done():
                    raise
                run.throw(error)
            else:
                return run.value()

    def close(self) -> None:
        """Cancel what is left on the loop and close it; does nothing while it runs."""
        if not self.usable or self._loop.is_running():
            return
        self._loop.run_until_complete(wind_up(self._loop))
        self._loop.close()


class _Run:
    """A coroutine whose outcome is kept instead of raised: asyncio lets SystemExit out of the loop in mid-turn."""

    def __init__(self, guard: Any) -> None:
        self._guard = guard
        self._steering: Steering | None = None
        self._value: Any = None
        self._error: BaseException | None = None

    async def captured(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._steering = Steering(self._guard)
        try:
            self._value = await self._steering.steer(coroutine)
        except BaseException as error:
            self._error = error

    def throw(self, error: BaseException) -> None:
        if self._steering is None:
            raise error
        self._steering.throw(error)

    def value(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value


_kept_loops: dict[threading.Thread, KeptLoop] = {}
#: Loops inherited over a fork. Never collected, because a collected loop closes itself.
_inherited: list[KeptLoop] = []


def run_here(coroutine: Coroutine[Any, Any, Any], guard: Any) -> Any:
    """Run a coroutine to its end on the calling thread's kept loop and return its value.

    Where a loop runs in this thread already, as in an eager call inside a coroutine, another thread runs it meanwhile.

    Args:
        coroutine: the run's.
        guard: see :class:`Steering`.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _loop_of_this_thread().run(coroutine, guard)
    return _run_beside(coroutine, guard)


def _loop_of_this_thread() -> KeptLoop:
    thread = threading.current_thread()
    kept = _kept_loops.get(thread)
    if kept is not None and kept.usable:
        return kept
    for other, left in list(_kept_loops.items()):
        if left.is_foreign:
            _inherited.append(_kept_loops.pop(other))
        elif not other.is_alive():
            _kept_loops.pop(other).close()
    kept = _kept_loops[thread] = KeptLoop()
    return kept


def _run_beside(coroutine: Coroutine[Any, Any, Any], guard: Any) -> Any:
    ended: list[tuple[Any, BaseException | None]] = []
    context = contextvars.copy_context()

    def work() -> None:
        loop = KeptLoop()
        try:
            ended.append((context.run(loop.run, coroutine, guard), None))
        except BaseException as error:
            ended.append((None, error))
        finally:
            loop.close()

    thread = threading.Thread(target=work, name="CoroutineBeside", daemon=True)
    thread.start()
    thread.join()
    value, error = ended[0]
    if error is not None:
        raise error
    return value


def close_kept_loops() -> None:
    """Close the loops that this process's threads keep and that do not run now. Called when the process ends."""
    for kept in list(_kept_loops.values()):
        kept.close()


atexit.register(close_kept_loops)


async def wind_up(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left on the running loop and let it end, within a bound."""
    left = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_FAREWELL)
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(loop.shutdown_asyncgens(), _FAREWELL)
