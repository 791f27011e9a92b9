"""What signals mean to the processes that tasks fork.

A runner leaves shutdown to its supervisor, so it disregards the signals that would end it. A child that a task forks
must not: ``multiprocessing`` ends its workers by SIGTERM and waits for them.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import ClassVar


def disregard(signum: int, frame: FrameType | None) -> None:
    """Do nothing."""


class ForkSignals:
    """Gives forked children of this process the default meaning of the signals it disregards itself.

    Attributes:
        numbers: the signals.
    """

    numbers: ClassVar[tuple[int, ...]] = tuple(
        getattr(signal, name)
        for name in ("SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGTTIN", "SIGTTOU")
        if hasattr(signal, name)
    )

    def __init__(self) -> None:
        self._local = threading.local()

    def install(self) -> None:
        """Look after every fork from now on; on systems without fork there is nothing to do."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._hold, after_in_parent=self._let_go, after_in_child=self._reset)

    def _hold(self) -> None:
        # A signal sent to the child before its handlers are reset would be taken, and forgotten, by the runner's.
        self._local.mask = signal.pthread_sigmask(signal.SIG_BLOCK, self.numbers)

    def _let_go(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._local.mask)

    def _reset(self) -> None:
        for number in self.numbers:
            if signal.getsignal(number) is disregard:
                with suppress(ValueError):  # only the main thread may, and some interpreters name it late
                    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                    signal.signal(number, usual)
        self._let_go()
