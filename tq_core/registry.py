"""The tasks an application knows, by name."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from tq_core.errors import NotRegistered

if TYPE_CHECKING:
    from tq_core.task import Task


class TaskRegistry(dict[str, "Task"]):
    """Maps each task's name to the task. Reading is safe from any thread."""

    def __missing__(self, name: str) -> Task:
        raise NotRegistered(name)

    def register(self, task: Any) -> Task:
        """Add a task, given as an object or as a class, which is instantiated once."""
        made: Any = task() if inspect.isclass(task) else task
        instance: Task = made
        if not instance.name:
            raise ValueError(
                f"Task class {type(instance).__name__!r} must specify a .name attribute before it is registered"
            )
        self[instance.name] = instance
        return instance

    def unregister(self, name: Any) -> None:
        """Remove a task by name or object.

        Raises:
            NotRegistered: there is none of this name.
        """
        key = getattr(name, "name", name)
        if self.pop(key, None) is None:
            raise NotRegistered(key)

    def regular(self) -> dict[str, Task]:
        """Return the tasks of type ``regular``."""
        return self.filter_types("regular")

    def periodic(self) -> dict[str, Task]:
        """Return the tasks of type ``periodic``."""
        return self.filter_types("periodic")

    def filter_types(self, kind: str) -> dict[str, Task]:
        """Return the tasks of one type."""
        return {name: task for name, task in self.items() if getattr(task, "type", "regular") == kind}
