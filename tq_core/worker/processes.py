"""The supervisor's handle of one runner process."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import TYPE_CHECKING, Any

from tq_core.runner.board import Board
from tq_core.runner.entry import AppReference, run_forked, run_spawned
from tq_core.runner.runner import RunnerSpec

if TYPE_CHECKING:
    from tq_core.app import Celery

#: How Celery's users know the processes of each start method.
_PROCESS_NAMES = {"fork": "ForkPoolWorker", "forkserver": "ForkServerPoolWorker", "spawn": "SpawnPoolWorker"}


@dataclass(slots=True)
class RunnerProcess:
    """One runner process, seen from the supervisor.

    Attributes:
        number: its row on the board.
        spec: what it was told.
        process: the process.
        pid: its id.
        connection: the supervisor's end of the pipe.
        ready: it has said that it receives.
        draining: it has been told to finish.
        overdue_task: id of the task for whose hard limit the supervisor killed it, with that limit in seconds.
        terminated_task: id of the revoked task for which the supervisor killed it, with the signal's number.
        failure: why it could not start.
    """

    number: int
    spec: RunnerSpec
    process: BaseProcess
    pid: int
    connection: Connection
    started_at: float
    ready: bool = False
    draining: bool = False
    overdue_task: tuple[str, float] | None = None
    terminated_task: tuple[str, int] | None = None
    failure: str | None = None

    @property
    def condemned(self) -> bool:
        """True once the supervisor has killed it for the task it ran."""
        return self.overdue_task is not None or self.terminated_task is not None

    def drain(self) -> None:
        """Tell the runner to finish what it runs and end."""
        self.draining = True
        self.tell("drain")

    def tell(self, word: str, *rest: Any) -> None:
        """Say something to the runner; silent when it is gone."""
        try:
            self.connection.send((word, *rest))
        except (OSError, ValueError):
            self.draining = True

    def close(self) -> None:
        """Let go of a process that has ended."""
        self.connection.close()
        self.process.join()
        self.process.close()


class Launcher:
    """Starts runner processes with one start method.

    Args:
        app: inherited by forked runners.
        reference: how others find the application.
        method: ``fork``, ``forkserver`` or ``spawn``.
        board: shared with all of them.
        template: what every runner is told, but for its number and consumer id.
    """

    def __init__(
        self, app: Celery, reference: AppReference | None, method: str, board: Board, template: RunnerSpec
    ) -> None:
        self._app = app
        self._reference = reference
        self._method = method
        self._context: Any = multiprocessing.get_context(method)
        self._board = board
        self._template = template
        self._serial = 0

    def launch(self, number: int, siblings: Sequence[RunnerProcess], **news: Any) -> RunnerProcess:
        """Start a runner on row ``number``.

        Args:
            number: the row.
            siblings: runners that live already.
            **news: what else it is told that is not in the template.
        """
        self._serial += 1
        self._board.clear(number)
        spec = replace(
            self._template,
            number=number,
            consumer_id=f"{self._template.node}:{uuid.uuid4().hex[:12]}",
            board=(self._board.path, self._board.runners, self._board.slots),
            **news,
        )
        ours, theirs = self._context.Pipe()
        name = f"{_PROCESS_NAMES[self._method]}-{self._serial}"
        if self._method == "fork":
            inherited = [ours, *(sibling.connection for sibling in siblings)]
            arguments: tuple[Any, ...] = (self._app, spec, self._board, theirs, inherited)
            process = self._context.Process(target=run_forked, args=arguments, name=name)
        else:
            process = self._context.Process(target=run_spawned, args=(self._reference, spec, theirs), name=name)
        process.start()
        theirs.close()
        return RunnerProcess(number, spec, process, process.pid, ours, monotonic())
