"""Coroutine tasks by the hundred in one event loop, and plain functions in threads beside it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

from tq_core.contracts.pool import Execution, Layout, Pool, PoolCapabilities
from tq_core.coroutines import wind_up
from tq_core.pools.loop_watch import LoopWatch
from tq_core.pools.threads import ThreadPool

logger = logging.getLogger("tq.worker")


class AioPool(Pool):
    """Runs ``async def`` jobs in one event loop, in the runner's main thread, and plain functions in threads.

    A job holds a slot, whichever way it runs. Threads are started as they are needed, so there are never more of them
    than slots. A coroutine is interrupted where it awaits, and one that computes without awaiting at its next
    bytecode. At its hard limit a coroutine is cancelled and its slot is free at once, whatever it makes of that; if it
    blocks the loop even then, the process is ended.

    Args:
        slots: most jobs at a time.
    """

    name = "aio"
    capabilities = PoolCapabilities(soft_limit=True, hard_limit=True, cancel=True, coroutines=True)
    usual_concurrency = 100

    @classmethod
    def layout(cls, concurrency: int, processes: int | None) -> Layout:
        """``concurrency`` slots in each of ``--processes`` runners."""
        return Layout(processes or 1, concurrency)

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self._loop = asyncio.new_event_loop()
        # What one run sets in its context must not be seen by the next, so all of them begin with this one.
        self._context = contextvars.copy_context()
        self._waiting: deque[Any] = deque()
        # By job, not by task id: two deliveries of one task may run at the same time. Who takes a job out of here
        # decides its outcome; pop is atomic.
        self._running: dict[int, Any] = {}
        self._given_up: dict[int, Any] = {}
        self._threads = ThreadPool(0)
        self._in_threads: set[int] = set()
        self._interrupts: deque[tuple[Any, type[BaseException]]] = deque()
        self._signals = False
        self._stopping = self._stopped = False
        self._watch = LoopWatch(
            self._loop,
            running=lambda: bool(self._running or self._given_up),
            blocking=self._blocking,
            given_up=lambda job: id(job) in self._given_up,
        )

    def start(self, execution: Execution, report: Callable[[Any, Any], None]) -> None:
        """Install the handler that interrupts code which does not await, where signals can be used."""
        self._execution = execution
        self._report = report
        self._threads.start(execution, self._report_from_thread)
        self._main_thread = threading.get_ident()
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, self._on_interrupt)
            self._signals = True

    def serve(self) -> None:
        """Run the loop until :meth:`stop`, then cancel what the tasks have left on it."""
        self._watch.watch(self._main_thread)
        while not self._stopped:
            try:
                self._loop.run_forever()
            except BaseException as error:  # asyncio lets sys.exit() and the like out of the loop in mid-turn
                logger.error("The event loop goes on after %r, raised outside of any task", error)
        self._threads.stop()
        self._threads.serve()
        self._watch.end()
        self._loop.run_until_complete(wind_up(self._loop))
        self._loop.close()

    # called by the transport thread

    def submit(self, jobs: Sequence[Any]) -> None:
        """Queue jobs; a batch wakes the loop once."""
        coroutines = [job for job in jobs if job.is_coroutine]
        if coroutines:
            self._waiting.extend(coroutines)
            self._in_loop(self._fill)
        if len(coroutines) < len(jobs):
            self._submit_to_threads([job for job in jobs if not job.is_coroutine])

    def _submit_to_threads(self, jobs: Sequence[Any]) -> None:
        self._in_threads.update(map(id, jobs))
        needed = min(len(self._in_threads), self.slots)
        if needed > self._threads.slots:
            self._threads.resize(needed)
        self._threads.submit(jobs)

    def withdraw(self) -> list[Any]:
        """Take back the jobs that have not started."""
        jobs = []
        with suppress(IndexError):  # the loop takes jobs out at the same time
            while True:
                jobs.append(self._waiting.popleft())
        functions = self._threads.withdraw()
        self._in_threads.difference_update(map(id, functions))
        return jobs + functions

    def queued(self) -> int:
        """Return how many jobs wait."""
        return len(self._waiting) + self._threads.queued()

    # called by any thread

    def cancel(self, job: Any, error: type[BaseException]) -> bool:
        """Raise ``error`` in a coroutine where it awaits, in other code at its next bytecode."""
        if id(job) not in self._running:
            return self._threads.cancel(job, error)
        if self._signals and job.interruptible:
            self._interrupts.append((job, error))
            signal.pthread_kill(self._main_thread, signal.SIGUSR1)
            return True
        throw = job.throw
        if throw is not None:
            throw(error)
        return throw is not None

    def abandon(self, job: Any) -> bool:
        """Free the slot of a job; what becomes of it is of no more interest."""
        if self._running.pop(id(job), None) is not None:
            self._given_up[id(job)] = job
            self._in_loop(self._fill)
            return True
        self._in_threads.discard(id(job))
        return self._threads.abandon(job)

    def resize(self, slots: int) -> None:
        """Have ``slots`` slots from now on."""
        self.slots = slots
        if self._threads.slots > slots:
            self._threads.resize(slots)
        self._in_loop(self._fill)

    def stop(self) -> None:
        """End :meth:`serve` after the running and queued jobs."""
        self._stopping = True
        self._in_loop(self._fill)

    def _in_loop(self, callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(callback, context=self._context)

    # called in the loop

    def _fill(self) -> None:
        """Start what waits in free slots; when nothing is left to do and no more will come, stop the loop."""
        waiting, running = self._waiting, self._running
        while waiting and len(running) < self.slots:
            try:
                job = waiting.popleft()
            except IndexError:  # withdrawn
                break
            running[id(job)] = job
            task = self._loop.create_task(self._execution.run_coroutine(job))
            task.add_done_callback(partial(self._ended, job), context=self._context)
        # Once only: a second stop would end the loop in the middle of winding up.
        if self._stopping and not self._stopped and not running and not waiting:
            self._stopped = True
            self._loop.stop()

    def _ended(self, job: Any, task: asyncio.Task[Any]) -> None:
        self._given_up.pop(id(job), None)
        if self._running.pop(id(job), None) is None:
            return  # given up at the hard limit
        try:
            outcome = task.result()
        except BaseException as error:  # another task cancelled this one before it had begun
            outcome = self._execution.interrupted(job, error)
        self._report(job, outcome)
        if self._waiting or self._stopping:
            self._fill()

    # called elsewhere

    def _report_from_thread(self, job: Any, outcome: Any) -> None:
        self._in_threads.discard(id(job))
        self._report(job, outcome)

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        while self._interrupts:
            job, error = self._interrupts.popleft()
            if job.interruptible:
                raise error
            # It has come to an await, or to its end, since the signal was sent.
            if job.throw is not None:
                job.throw(error)

    def _blocking(self) -> Any:
        """Return the job whose code runs in the loop's thread now, or None."""
        jobs = [*self._running.values(), *self._given_up.values()]
        return next((job for job in jobs if job.interruptible), None)
