"""Where a runner process begins."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from tq_core import signals
from tq_core.current import set_default_app
from tq_core.runner.board import Board
from tq_core.runner.fork_signals import ForkSignals, disregard
from tq_core.runner.runner import Runner, RunnerSpec

if TYPE_CHECKING:
    from tq_core.app import Celery

logger = logging.getLogger("tq.worker")

#: Seconds a thread keeps the interpreter while another wants it.
_SWITCH_INTERVAL = 0.0005
#: Exit code of a runner that could not start; it is not replaced at once.
EXIT_CANNOT_START = 70
#: Exit code of a runner whose transport thread failed: something it had received is not to be trusted.
EXIT_BROKEN = 71


@dataclass(frozen=True, slots=True)
class AppReference:
    """How a process that does not inherit the application's memory finds it again.

    Attributes:
        path: ``module:attribute``.
        directory: put first on ``sys.path``, or None.
        settings: the settings in force, which may differ from what importing the module gives.
        logging: level, file and format options of the worker's logging.
    """

    path: str
    directory: str | None
    settings: Any
    logging: Mapping[str, Any]

    def load(self) -> Celery:
        """Import the application and give it the worker's settings."""
        if self.directory and self.directory not in sys.path:
            sys.path.insert(0, self.directory)
        module, _, attribute = self.path.partition(":")
        found: Any = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
        app: Celery = found
        app.adopt_settings(self.settings)
        return app


def run_forked(
    app: Celery, spec: RunnerSpec, board: Board, connection: Connection, inherited: Iterable[Connection]
) -> None:
    """Run a runner in a forked process.

    Args:
        app: the application, inherited.
        spec: what to do.
        board: inherited.
        connection: to the supervisor.
        inherited: the supervisor's own ends of pipes; closed here, or no runner would see the supervisor die.
    """
    for other in inherited:
        other.close()
    app.inherit_connections()
    _run(app, spec, board, connection)


def run_spawned(reference: AppReference, spec: RunnerSpec, connection: Connection) -> None:
    """Run a runner in a fresh process."""
    from tq_core import log

    app = reference.load()
    log.setup(app, **reference.logging)
    app.finalize()
    app.import_task_modules()
    assert spec.board is not None
    path, runners, slots = spec.board
    _run(app, spec, Board(runners, slots, path), connection)


def _run(app: Celery, spec: RunnerSpec, board: Board, connection: Connection) -> None:
    _own_signals()
    # The transport thread needs the interpreter for microseconds at a time; with Python's default of 5 ms it would wait
    # that long for a busy task at every step of a batch.
    sys.setswitchinterval(_SWITCH_INTERVAL)
    set_default_app(app)
    try:
        if signals.worker_process_init.receivers:
            signals.worker_process_init.send(spec.node)
        runner = Runner(app, spec, board, connection)
    except Exception as error:  # a runner that cannot start says why in one line, and its supervisor decides
        logger.critical("A runner cannot start: %s: %s", type(error).__name__, error, exc_info=error)
        connection.send(("failed", f"{type(error).__name__}: {error}"))
        os._exit(EXIT_CANNOT_START)
    whole = runner.run()
    exitcode = 0 if whole else EXIT_BROKEN
    if signals.worker_process_shutdown.receivers:
        signals.worker_process_shutdown.send(spec.node, pid=os.getpid(), exitcode=exitcode)
    # A task may have closed any of these; that must not change how the process ends.
    for finish in (app.close, logging.shutdown, sys.stdout.flush, sys.stderr.flush):
        with suppress(Exception):
            finish()
    # Threads that a task left behind must not keep the process.
    os._exit(exitcode)


def _own_signals() -> None:
    """Leave shutdown to the supervisor, also when a signal is sent to the whole process group.

    A handler that does nothing is installed rather than SIG_IGN, which programs started by tasks would inherit.
    """
    for number in ForkSignals.numbers:
        signal.signal(number, disregard)
    signal.set_wakeup_fd(-1)
    ForkSignals().install()
