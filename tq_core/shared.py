"""Tasks that belong to no application in particular."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tq_core import current
from tq_core.task_decorator import task_decorator


@task_decorator
def shared_task(*args: Any, **options: Any) -> Any:
    """Make a task that every application has; usable with and without arguments, like ``app.task``.

    What it returns is the current application's task of that name, looked up at each use.
    """

    def decorate(function: Callable[..., Any]) -> SharedTask:
        current.add_shared_task(lambda app: app.task(**options)(function))
        return SharedTask(function, options.get("name"))

    if len(args) == 1 and callable(args[0]):
        return decorate(args[0])
    return decorate


class SharedTask:
    """Stands for the current application's task of one name, with all of its attributes.

    Args:
        function: the task's function.
        name: its registered name, or None for the automatic one.
    """

    def __init__(self, function: Callable[..., Any], name: str | None) -> None:
        self.__dict__.update(
            _function=function,
            _name=name,
            __doc__=function.__doc__,
            __module__=function.__module__,
            __wrapped__=function,
        )

    def _task(self) -> Any:
        app = current.get_current_app()
        function = self.__dict__["_function"]
        name = self.__dict__["_name"] or app.gen_task_name(function.__name__, function.__module__)
        return app.tasks[name]

    def stands_for(self, sender: Any) -> bool:
        """Say whether a signal's sender is the task of this name that its application has."""
        app = getattr(sender, "app", None)
        if app is None:
            return False
        function = self.__dict__["_function"]
        name = self.__dict__["_name"] or app.gen_task_name(function.__name__, function.__module__)
        return bool(getattr(sender, "name", None) == name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._task(), name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._task()(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._task())

    def __reduce__(self) -> Any:
        return self._task().__reduce__()
