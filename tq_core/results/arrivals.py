"""Awaiting results: one thread and one subscription for all coroutines and callbacks of a process."""

from __future__ import annotations

import asyncio
import copy
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from tq_core.errors import BackendError, TimeoutError
from tq_core.results import waiting
from tq_core.results.callbacks import Caller, Notice
from tq_core.results.polling import PolledSubscription

if TYPE_CHECKING:
    from tq_core.contracts.backend import Backend, ResultRecord, ResultSubscription
    from tq_core.results.async_result import AsyncResult

#: Seconds without anybody waiting after which the thread ends.
_IDLE = 5.0
#: Longest wait of the subscription in seconds; whoever has something to say to the thread wakes it.
_LONGEST = 60.0
#: Seconds that closing waits for the thread.
_PATIENCE = 5.0


class Arrivals:
    """The records of some tasks, to be iterated by one coroutine as they become ready. Use with ``with``.

    Args:
        watcher: tells of them.
        task_ids: whose.
        timeout: seconds for all of it, None for ever.

    Raises:
        TimeoutError: while iterating, when ``timeout`` has passed.
        BackendError: while iterating, when there is no result backend, it fails, or the application is closed.
    """

    def __init__(self, watcher: ResultWatcher, task_ids: Iterable[str], timeout: float | None) -> None:
        self._watcher = watcher
        self._awaited = set(task_ids)
        self._deadline = None if timeout is None else monotonic() + timeout
        self._records: deque[ResultRecord] = deque()
        self._error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._changed: asyncio.Future[None] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the coroutine that waits."""
        return self._loop

    def __enter__(self) -> Arrivals:
        self._watcher.add(self, self._awaited)
        return self

    def __exit__(self, *raised: object) -> None:
        self._watcher.remove(self, self._awaited)

    def __aiter__(self) -> Arrivals:
        return self

    async def __anext__(self) -> ResultRecord:
        while not self._records:
            if self._error is not None:
                raise self._error
            if not self._awaited:
                raise StopAsyncIteration
            await self._wait()
        record = self._records.popleft()
        self._awaited.discard(record.task_id)
        return record

    async def _wait(self) -> None:
        self._changed = self._loop.create_future()
        alarm = None
        if self._deadline is not None:
            alarm = self._loop.call_later(max(0.0, self._deadline - monotonic()), self.fail, _timed_out())
        try:
            await self._changed
        finally:
            self._changed = None
            if alarm is not None:
                alarm.cancel()

    def take(self, record: ResultRecord) -> None:
        """Be told of a record; called in the loop."""
        self._records.append(record)
        self._tell()

    def fail(self, error: BaseException) -> None:
        """Be told that no more will come; called in the loop."""
        self._error = error
        self._tell()

    def _tell(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


#: Calls the callbacks of this process.
_caller = Caller()


class Waiter(Protocol):
    """Somebody who waits for results.

    Attributes:
        loop: runs what is handed to its ``call_soon_threadsafe``; :meth:`take` and :meth:`fail` are called there.
    """

    @property
    def loop(self) -> Any: ...

    def take(self, record: ResultRecord) -> None: ...

    def fail(self, error: BaseException) -> None: ...


class ResultWatcher:
    """Tells coroutines and callbacks of results; a thread of its own lives while any of them wait. Any thread.

    Args:
        backend: where results are.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Waiter]] = {}
        self._added: list[str] = []
        self._removed: list[str] = []
        self._thread: threading.Thread | None = None
        self._subscription: ResultSubscription | None = None
        self._closed = False

    def arrivals(self, task_ids: Iterable[str], timeout: float | None) -> Arrivals:
        """Return the records of some tasks, to be iterated in the running loop.

        Raises:
            BackendError: there is no result backend.
        """
        if not self._backend.capabilities.stores:
            raise waiting.no_backend()
        return Arrivals(self, task_ids, timeout)

    def call_when_ready(self, results: Sequence[AsyncResult], call: Callable[[], Any]) -> None:
        """Call a function, in a thread of its own, once all of these results are ready; they take over their records.

        Raises:
            BackendError: there is no result backend.
        """
        if not self._backend.capabilities.stores:
            raise waiting.no_backend()
        notice = Notice(results, call, _caller)
        self.add(notice, notice.task_ids)

    def add(self, arrivals: Waiter, task_ids: Iterable[str]) -> None:
        """Tell ``arrivals`` of these tasks."""
        if self._pid != os.getpid():
            self._reset()  # in a forked child: the thread is the parent's, and so are those who wait
        with self._lock:
            for task_id in task_ids:
                self._waiting.setdefault(task_id, []).append(arrivals)
                self._added.append(task_id)
            if not self._added:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ResultWatcher", daemon=True)
                self._thread.start()
            self._wake()

    def remove(self, arrivals: Waiter, task_ids: Iterable[str]) -> None:
        """Tell ``arrivals`` no more of those of these tasks that are not ready."""
        with self._lock:
            for task_id in task_ids:
                others = self._waiting.get(task_id)
                if others is None or arrivals not in others:
                    continue
                others.remove(arrivals)
                if not others:
                    del self._waiting[task_id]
                    self._removed.append(task_id)

    def close(self) -> None:
        """End the thread; every coroutine that waits gets a ``BackendError``."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._closed = True
            thread = self._thread
            self._wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def _wake(self) -> None:
        if self._subscription is not None:
            self._subscription.wake()

    # the thread

    def _run(self) -> None:
        try:
            with closing(_subscription_to(self._backend)) as subscription:
                self._serve(subscription)
        except BaseException as error:  # whatever it is, those who wait must hear of it
            self._give_up(error)

    def _serve(self, subscription: ResultSubscription) -> None:
        """Hand over results until nobody has waited for a while.

        Raises:
            BackendError: the backend fails, or the application was closed.
        """
        while True:
            self._renew(subscription)
            idle = not self._waiting
            records = subscription.receive(_IDLE if idle else _LONGEST)
            self._hand_over(records)
            if idle and not records and self._ends():
                return

    def _renew(self, subscription: ResultSubscription) -> None:
        """Pass on what was added and removed."""
        with self._lock:
            self._subscription = subscription
            added = [task_id for task_id in self._added if task_id in self._waiting]
            removed = [task_id for task_id in self._removed if task_id not in self._waiting]
            self._added, self._removed = [], []
            if self._closed:
                raise BackendError("The application was closed while results were awaited")
        if removed:
            subscription.drop(removed)
        if added:
            subscription.add(added)

    def _ends(self) -> bool:
        """Let the thread end unless somebody has come meanwhile."""
        with self._lock:
            if self._waiting or self._added:
                return False
            self._thread = self._subscription = None
            return True

    def _hand_over(self, records: Sequence[ResultRecord]) -> None:
        by_loop: dict[Any, list[tuple[Waiter, ResultRecord]]] = {}
        with self._lock:
            for record in records:
                for arrivals in self._waiting.pop(record.task_id, ()):
                    by_loop.setdefault(arrivals.loop, []).append((arrivals, record))
        for loop, own in by_loop.items():
            with suppress(RuntimeError):  # the loop has been closed; nobody waits there
                loop.call_soon_threadsafe(_take_all, own)

    def _give_up(self, error: BaseException) -> None:
        with self._lock:
            self._thread = self._subscription = None
            disappointed = {arrivals for several in self._waiting.values() for arrivals in several}
            self._waiting, self._added, self._removed = {}, [], []
        for arrivals in disappointed:
            with suppress(RuntimeError):
                # An error of its own for each: one that is raised in several places grows with each of them.
                arrivals.loop.call_soon_threadsafe(arrivals.fail, copy.copy(error))


def _take_all(arrived: Sequence[tuple[Waiter, ResultRecord]]) -> None:
    for arrivals, record in arrived:
        arrivals.take(record)


def _subscription_to(backend: Backend) -> ResultSubscription:
    return backend.subscribe() if backend.capabilities.subscribe else PolledSubscription(backend)


def _timed_out() -> TimeoutError:
    return TimeoutError("The operation timed out.")
