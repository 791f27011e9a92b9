"""Forking in the middle of a check, and hearing from the child."""

from __future__ import annotations

import os
import select
import signal
import threading
import traceback
import warnings
from collections.abc import Callable

import pytest

from tq_core.testing.conformance.patience import PATIENCE


def in_a_fork(child: Callable[[], None]) -> None:
    """Call ``child`` in a forked process and wait for its end; fail with its traceback when it raises or hangs.

    Nothing of the parent is cleaned up in the child: it ends with ``os._exit``.
    """
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what is tried here
        pid = os.fork()
    if pid == 0:
        _live(child, writing)
    os.close(writing)
    try:
        said = b""
        # Whoever inherited the pipe may hold it open longer than the child lives: the child's word is enough.
        while select.select([reading], [], [], 2 * PATIENCE)[0] and (more := os.read(reading, 65_536)):
            said += more
    finally:
        os.close(reading)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended and not said:
            os.kill(pid, signal.SIGKILL)
        if not ended:
            _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code or said != b"ok":
        pytest.fail(f"the forked child ended with {code}: {said.decode('utf-8', 'replace') or 'it did not answer'}")


def _live(child: Callable[[], None], writing: int) -> None:
    code = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(PATIENCE))  # a lock inherited from a thread that does not exist here is never freed
        child()
        os.write(writing, b"ok")
        code = 0
    except BaseException:
        os.write(writing, traceback.format_exc().encode()[-60_000:])
    finally:
        os._exit(code)


class Restless:
    """A thread that does something again and again, so that a fork happens in the middle of it; a context manager."""

    def __init__(self, deed: Callable[[], object]) -> None:
        self._deed = deed
        self._ending = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._ending.is_set():
            self._deed()
            self._begun.set()

    def __enter__(self) -> Restless:
        self._thread.start()
        if not self._begun.wait(PATIENCE):
            pytest.fail("the other thread did not get anything done")
        return self

    def __exit__(self, *raised: object) -> None:
        self._ending.set()
        self._thread.join(PATIENCE)
