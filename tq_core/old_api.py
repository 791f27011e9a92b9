"""The API of Celery's first years: tasks without an application, classes that register themselves, task sets.

Programs written for it find these names at their old import paths in the drop-in package.
"""

from __future__ import annotations

from typing import Any, cast

from tq_core import current
from tq_core.canvas.group import group
from tq_core.canvas.making import subtask
from tq_core.shared import shared_task
from tq_core.task import Task as TaskOfToday

__all__ = ["BaseTask", "Task", "TaskSet", "TaskType", "subtask", "task"]

#: Makes a task of a function, for every application; with and without options.
task = shared_task
#: Several calls with one joint result.
TaskSet = group


class TaskType(type):
    """Registers each class that is made with it, unless its body says ``abstract = True``.

    The class itself can be called like its task: ``Feed.delay(url)``.
    """

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        if not namespace.get("abstract"):
            cls.abstract = False
            current.add_shared_task(lambda app: app.register_task(cast("type[TaskOfToday]", cls)))

    def _registered(cls) -> Any:
        """The current application's task of this class."""
        app = current.get_current_app()
        return app.tasks[getattr(cls, "name", "") or app.gen_task_name(cls.__name__, cls.__module__)]

    # On the metaclass these are what the class has; an instance has the methods below it.
    delay = property(lambda cls: cls._registered().delay)
    apply_async = property(lambda cls: cls._registered().apply_async)
    apply = property(lambda cls: cls._registered().apply)
    subtask = property(lambda cls: cls._registered().subtask)
    s = property(lambda cls: cls._registered().s)
    si = property(lambda cls: cls._registered().si)


class Task(TaskOfToday, metaclass=TaskType):
    """Base of class-based tasks that register themselves with every application; there is one instance in each."""

    abstract = True


#: An older name.
BaseTask = Task
