"""What a class of tasks may override to take part in the runs of its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tq_core.errors import Ignore

if TYPE_CHECKING:
    from tq_core.app import Celery


class TaskHandlers:
    """Handlers of tasks, which do nothing here.

    Those of a run are called in the thread, or in the event loop, that runs the task, with the task's ``request``. What
    they return is ignored, and what they raise is logged and changes nothing; only :meth:`before_start` is part of the
    run, which fails when it raises. They cost nothing where nobody has written one.
    """

    def on_bound(self, app: Celery) -> None:
        """Called when the task has got its application and name, in every process that imports it.

        Args:
            app: the application.
        """

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Called before a run.

        Args:
            task_id: the task's id.
            args, kwargs: its arguments.
        """

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Called after the body returned.

        Args:
            retval: what it returned.
            task_id, args, kwargs: as for :meth:`before_start`.
        """

    def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called when the run asked to be repeated.

        Args:
            exc: the reason, or the ``Retry`` itself where none was given.
            task_id, args, kwargs: as for :meth:`before_start`.
            einfo: the exception with its ``traceback`` as text.
        """

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called after the body raised, or the run was stopped or lost.

        The worker's main process, or the runner's transport thread, calls it for a run that could not report itself.

        Args:
            exc: the exception.
            task_id, args, kwargs: as for :meth:`before_start`.
            einfo: the exception with its ``traceback`` as text.
        """

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called at the end of every run, whatever became of it.

        Args:
            status: the state, as in ``tq_core.states``.
            retval: what was returned or raised.
            task_id, args, kwargs: as for :meth:`before_start`.
            einfo: the exception with its ``traceback``, or None.
        """

    def on_replace(self, sig: Any) -> Any:
        """Called by :meth:`replace` outside of an eager run; ends this run without a state.

        Args:
            sig: the signature that takes its place.

        Raises:
            Ignore: always, unless overridden.
        """
        raise Ignore("Replaced by new task")

    def shadow_name(self, args: Any, kwargs: Any, options: Mapping[str, Any]) -> str | None:
        """Return another name for logs and monitors, or None. Called in the process that calls, for each call.

        Args:
            args, kwargs: the arguments.
            options: those of the call.
        """
        return None
