"""Another process that opens the plugin by its address and does what a check tells it.

A check drives it one call at a time and may kill it between any two of them. What goes on in that process is
:mod:`tq_core.testing.conformance.acting`.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from tq_core.testing.conformance import acting
from tq_core.testing.conformance.patience import PATIENCE


class Actor:
    """One such process; a context manager, which kills it at the end.

    Args:
        stage: what lasts from call to call: made once in the other process by calling ``stage`` with ``arguments``.
            Importable, as is every function given to :meth:`call`.
        arguments: picklable.
    """

    def __init__(self, stage: Callable[..., Any], *arguments: Any) -> None:
        mine, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {acting.__name__} import main; main({its.fileno()})"],
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._pipe = Connection(mine.detach())
        self._send(stage, arguments)
        self.answer()

    def __enter__(self) -> Actor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._pipe.close()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Let the other process call ``function`` with its stage and ``arguments``; return or raise what that does."""
        self.tell(function, *arguments)
        return self.answer()

    def tell(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Like :meth:`call`, without waiting: :meth:`answer` has what became of it."""
        self._send(function, arguments)

    def answer(self) -> Any:
        """Wait for the next thing that the other process says: a value it tells, or what a call returned or raised.

        Raises:
            TimeoutError: it says nothing.
            EOFError: it is dead, and everything that it said has been heard.
        """
        if not self._pipe.poll(PATIENCE):
            raise TimeoutError(f"the other process says nothing for {PATIENCE:g} s")
        raised, value = pickle.loads(self._pipe.recv_bytes())
        if raised:
            raise value
        return value

    def kill(self) -> None:
        """End the process with SIGKILL, wherever it is, and wait for its end."""
        self._process.kill()
        self._process.wait()

    def _send(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._pipe.send_bytes(pickle.dumps((function, arguments)))
