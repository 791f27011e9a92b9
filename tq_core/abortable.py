"""Tasks that can be asked to stop, and look for themselves whether they were."""

from __future__ import annotations

from typing import Any

from tq_core.contracts.backend import ResultRecord
from tq_core.results.async_result import AsyncResult
from tq_core.states import ABORTED
from tq_core.task import Task


class AbortableAsyncResult(AsyncResult):
    """The result of a task that can be asked to stop."""

    __slots__ = ()

    def is_aborted(self) -> bool:
        """Tell whether the task was asked to stop and has not ended since."""
        return self.state == ABORTED

    def abort(self) -> None:
        """Ask the task to stop: its state becomes ABORTED, which it sees when it looks.

        Raises:
            BackendError: the state cannot be stored.
        """
        self.backend.store([ResultRecord(self.id, ABORTED, None)])


class AbortableTask(Task):
    """A task that may look whether it was asked to stop: ``@app.task(bind=True, base=AbortableTask)``.

    It goes on until it looks; what it then returns is its result like any other. A result backend is needed.
    """

    abstract = True

    def AsyncResult(self, task_id: str, **options: Any) -> AbortableAsyncResult:
        """Return the handle of a result by id."""
        return AbortableAsyncResult(task_id, task_name=self.name, app=self._bound_app(), **options)

    def is_aborted(self, **known: Any) -> bool:
        """Tell whether this run was asked to stop; each call asks the result backend.

        Args:
            **known: ``task_id`` of another run.
        """
        task_id = known.get("task_id", self.request.id)
        return task_id is not None and self.AsyncResult(task_id).is_aborted()
