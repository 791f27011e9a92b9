"""What signals ask of the supervisor."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

#: Stop receiving, finish what runs, end.
WARM = "warm"
#: Stop now; late-acknowledged tasks go back, others fail as lost.
COLD = "cold"


class SignalDesk:
    """Turns signals into wishes that the supervisor's loop reads; owned by its main thread.

    While entered, SIGTERM and SIGINT wish for a warm shutdown, or a cold one when one is under way; SIGQUIT for a
    cold one; SIGTTIN and SIGTTOU for one runner more or fewer. :attr:`wakeup` is readable after any signal.

    Attributes:
        stop: :data:`WARM`, :data:`COLD` or None.
        signal_number: of the signal that asked for it.
        growth: runners to add, or to take away when negative.
    """

    def __init__(self) -> None:
        self.stop: str | None = None
        self.signal_number: int | None = None
        self.growth = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> SignalDesk:
        self.wakeup, self._write_end = socket.socketpair()
        self.wakeup.setblocking(False)
        self._write_end.setblocking(False)
        signal.set_wakeup_fd(self._write_end.fileno(), warn_on_full_buffer=False)
        self._install("SIGTERM", self._on_term)
        self._install("SIGINT", self._on_term)
        self._install("SIGQUIT", self._on_quit)
        self._install("SIGTTIN", self._on_grow)
        self._install("SIGTTOU", self._on_shrink)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self.wakeup.close()
        self._write_end.close()

    def clear_wakeup(self) -> None:
        """Read away what made :attr:`wakeup` readable."""
        try:
            while self.wakeup.recv(64):
                pass
        except BlockingIOError:
            pass

    def _install(self, name: str, handler: Callable[[int, FrameType | None], None]) -> None:
        number = getattr(signal, name, None)
        if number is not None:
            self._previous[number] = signal.signal(number, handler)

    def _on_term(self, signum: int, frame: FrameType | None) -> None:
        self.stop = WARM if self.stop is None else COLD
        self.signal_number = signum

    def _on_quit(self, signum: int, frame: FrameType | None) -> None:
        self.stop = COLD
        self.signal_number = signum

    def _on_grow(self, signum: int, frame: FrameType | None) -> None:
        self.growth += 1

    def _on_shrink(self, signum: int, frame: FrameType | None) -> None:
        self.growth -= 1


def signal_name(number: int | None) -> str:
    """Return a signal's name for the log."""
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}" if number else f"process {os.getpid()}"
