"""Notices an event loop that has stopped turning, and says which task holds it up."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from time import monotonic
from types import FrameType
from typing import Any

logger = logging.getLogger("tq.worker")

#: Seconds between looks, and seconds without a turn after which the loop counts as blocked.
_INTERVAL, _PATIENCE = 1.0, 1.0
#: Seconds that a job which was given up may go on blocking the loop.
_GRACE = 5.0


class LoopWatch(threading.Thread):
    """A thread beside an event loop: once a second, while jobs run, it asks the loop for a sign of life.

    Args:
        loop: the loop.
        running: tells whether there are jobs whose coroutines may block it.
        blocking: returns the job whose code runs now, or None.
        given_up: tells whether a job's slot was given up at its hard limit.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        running: Callable[[], bool],
        blocking: Callable[[], Any],
        given_up: Callable[[Any], bool],
    ) -> None:
        super().__init__(name="LoopWatch", daemon=True)
        self._loop = loop
        self._running = running
        self._blocking = blocking
        self._given_up = given_up
        self._turned = threading.Event()
        self._ended = threading.Event()
        self._thread_of_loop = 0

    def watch(self, thread: int) -> None:
        """Start to watch the loop, which is run by the thread of this identity."""
        self._thread_of_loop = thread
        self.start()

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()
        self._turned.set()

    def run(self) -> None:
        """Look at the loop until :meth:`end`."""
        while not self._ended.wait(_INTERVAL):
            if not self._running():
                continue
            self._turned.clear()
            asked = monotonic()
            try:
                self._loop.call_soon_threadsafe(self._turned.set)
            except RuntimeError:  # it was closed a moment ago
                return
            if not self._turned.wait(_PATIENCE):
                self._complain()
                self._wait_for_turn()
                logger.info("The event loop turns again, after %.1f seconds", monotonic() - asked)

    def _complain(self) -> None:
        job = self._blocking()
        frame = sys._current_frames().get(self._thread_of_loop)
        logger.warning(
            "The event loop is blocked by %s, at %s. No other coroutine of this runner goes on meanwhile: let such "
            "code await, run it with asyncio.to_thread(), or make it a task of a plain function",
            "code outside of any task" if job is None else f"{job.task_name}[{job.task_id}]",
            "an unknown place" if frame is None else _place(frame),
        )

    def _wait_for_turn(self) -> None:
        hopeless_since: float | None = None
        while not self._turned.wait(_INTERVAL):
            job = self._blocking()
            if job is None or not self._given_up(job):
                hopeless_since = None
                continue
            hopeless_since = monotonic() if hopeless_since is None else hopeless_since
            # Only a process of its own is ended: its supervisor settles what it ran, and starts another.
            if monotonic() - hopeless_since >= _GRACE and multiprocessing.parent_process() is not None:
                logger.critical(
                    "%s[%s] blocks the event loop even after its hard time limit; this runner is ended and replaced",
                    job.task_name,
                    job.task_id,
                )
                os.kill(os.getpid(), signal.SIGKILL)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}()"
