"""A worker inside the test's own process: real runner, real broker, no other process."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from tq_core import current
from tq_core.errors import Terminated
from tq_core.runner.board import Board
from tq_core.runner.execution import TaskExecution
from tq_core.runner.runner import Runner, RunnerSpec
from tq_core.worker.options import node_name

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.runner.job import Job

#: Seconds to wait for the runner to start.
_PATIENCE = 30.0
#: Seconds that an interrupted task has to get out of its code.
_GRACE = 1.0
#: Innermost calls that are shown of a task that does not end.
_SHOWN = 4
#: The code in which a job is run.
_RUNNING = (TaskExecution.run.__code__, TaskExecution.run_coroutine.__code__)
#: Seconds between two looks at the queues while :meth:`InProcessWorker.join` waits.
_LOOK = 0.005


class InProcessWorker:
    """A worker whose runner lives in threads of this process; made by :func:`start_worker`.

    Attributes:
        app: the application.
        hostname: its node name.
        queues: names of the queues it receives from.
    """

    def __init__(self, app: Celery, *, concurrency: int, pool: str, queues: Sequence[str]) -> None:
        app.finalize()
        self.app = app
        self.hostname = node_name("test@%h")
        self.queues = tuple(queues)
        self._board = Board(1, concurrency)
        spec = RunnerSpec(
            number=0,
            consumer_id=f"test:{uuid.uuid4().hex[:12]}",
            node=self.hostname,
            queues=self.queues,
            pool=pool,
            slots=concurrency,
        )
        self._runner = Runner(app, spec, self._board)
        self._thread = threading.Thread(target=self._runner.run, name="Runner", daemon=True)

    def start(self) -> None:
        """Start receiving.

        Raises:
            TimeoutError: the runner did not come up.
        """
        self._thread.start()
        if not self._runner.wait_ready(_PATIENCE):
            raise TimeoutError(f"the runner was not ready within {_PATIENCE:g} seconds")

    def join(self, timeout: float = 10.0) -> None:
        """Wait until nothing is left in the worker's queues: neither ready, nor waiting for its time, nor running.

        Args:
            timeout: real seconds.

        Raises:
            TimeoutError: says what is left.
        """
        deadline = time.monotonic() + timeout
        while left := self._left():
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout:g} seconds there is still work in the queues: {', '.join(left)}")
            time.sleep(_LOOK)

    def _left(self) -> list[str]:
        depths = ((name, self.app.broker.depth(name)) for name in self.queues)
        return [
            f"{name} ({d.ready} ready, {d.parked} not due, {d.held} running)"
            for name, d in depths
            if d.ready or d.parked or d.held
        ]

    def stop(self, timeout: float = 10.0) -> None:
        """Finish what runs, give back what does not, and end.

        A task that does not end is interrupted. One that cannot be, because it sits in a call that does not return,
        keeps its thread.

        Args:
            timeout: seconds for the running tasks to end.

        Raises:
            TimeoutError: a task had to be interrupted; says which, and where it was.
        """
        self._runner.drain()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            self._board.close()
            return
        left = [self._interrupt(job) for job in self._runner.running()]
        self._thread.join(_GRACE)
        if self._thread.is_alive():
            left.append("It cannot be interrupted there; its thread stays until it returns, or the process ends.")
        else:
            self._board.close()  # otherwise the task's end would write to memory that is gone
        raise TimeoutError("\n".join([f"{timeout:g} seconds after the worker was to stop, it still ran", *left]))

    def _interrupt(self, job: Job) -> str:
        """Raise Terminated in a running task, and say which one it is and where it was."""
        thread, frame = _whereabouts(job)
        if frame is not None and not (job.is_coroutine and not job.interruptible):
            place = "which was here:\n" + "".join(traceback.format_stack(frame)[-_SHOWN:])
        else:
            place = "a coroutine that awaited something"
        # Not by the pool: the signals with which some pools interrupt reach the main thread only.
        throw = job.throw
        if job.interruptible and thread:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Terminated))
        elif throw is not None:
            throw(Terminated)
        return f"{job.task_name}[{job.task_id}], {place}"

    # what tests written for Celery call

    def ensure_started(self) -> None:
        """Do nothing: the worker has started when the test gets it."""

    def reload(self) -> None:
        """Do nothing: tasks made after the worker started are known to it."""


def _whereabouts(job: Job) -> tuple[int, FrameType | None]:
    """Return the thread that a job's code is on, and the innermost frame there; 0 and None while it awaits."""
    for thread, innermost in sys._current_frames().items():
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code in _RUNNING and frame.f_locals.get("job") is job:
                return thread, innermost
            frame = frame.f_back
    return 0, None


@contextmanager
def start_worker(
    app: Celery,
    *,
    concurrency: int = 1,
    pool: str = "threads",
    queues: Sequence[str] = (),
    shutdown_timeout: float = 10.0,
) -> Iterator[InProcessWorker]:
    """Run a worker in threads of this process while the block is entered.

    Works with every broker, also with ``memory://``, which other processes cannot see. On leaving, what runs is
    finished and what only waits is given back. Tasks that end their process are beyond it: they would end the test.

    Args:
        app: the application.
        concurrency: tasks at a time.
        pool: ``threads``, ``aio`` or ``solo``; the last knows no time limits outside of the main thread.
        queues: names to receive from; all configured ones when empty.
        shutdown_timeout: seconds that running tasks have on leaving.

    Raises:
        TimeoutError: the runner did not come up, or a task did not end; says which one, and where it was.
    """
    app.finalize()
    consumed = tuple(app.queues.consumed(tuple(queues)))
    worker = InProcessWorker(app, concurrency=concurrency, pool=pool, queues=consumed)
    with current.standing_in(app, here=False):  # as in a worker: threads that run tasks have no other application
        worker.start()
        try:
            yield worker
        finally:
            worker.stop(shutdown_timeout)
