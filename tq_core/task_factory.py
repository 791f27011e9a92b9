"""Making tasks: of functions, of classes, with what the settings' annotations say about them."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tq_core.annotations import annotate, give
from tq_core.routing.placing import refuse_immediate
from tq_core.task import Task

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.registry import TaskRegistry

#: A class of tasks.
TaskType = TypeVar("TaskType", bound=Task)

#: Options of ``@app.task`` with which Celery's programs choose what is always so here.
_WITHOUT_EFFECT = frozenset({"lazy", "shared"})


class TaskFactory:
    """Makes an application's tasks and adds them to its registry. Its caller holds the application's lock.

    Args:
        app: the application.
        registry: gets the tasks.
    """

    def __init__(self, app: Celery, registry: TaskRegistry) -> None:
        self._app = app
        self._registry = registry

    def of_function(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        base: type[Task] | None = None,
        bind: bool = False,
        filter: Callable[..., Any] | None = None,
        pydantic: bool = False,
        pydantic_strict: bool = False,
        pydantic_context: dict[str, Any] | None = None,
        pydantic_dump_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> Task:
        """Return the task of a function; the one there is when its name is taken.

        Args:
            function: the body.
            name: its name; ``module.function`` by default.
            base: its class; the application's ``Task`` by default.
            bind: the task itself is the body's first argument.
            filter: gives the body another shape.
            pydantic, pydantic_strict, pydantic_context, pydantic_dump_kwargs: see
                :func:`tq_core.model_arguments.with_models`.
            **options: attributes of the task.
        """
        app = self._app
        name = name or app.gen_task_name(function.__name__, function.__module__)
        existing = self._registry.get(name)
        if existing is not None:
            return existing
        task = (base or app.Task)()
        body = filter(function) if filter is not None else function
        if pydantic:
            from tq_core.model_arguments import with_models

            context = {**(pydantic_context or {}), "celery_app": app, "celery_task_name": name}
            body = with_models(body, strict=pydantic_strict, context=context, dump=pydantic_dump_kwargs)
        task.app = app
        task.name = name
        task.abstract = False
        task.run = body.__get__(task, type(task)) if bind else body  # type: ignore[method-assign]
        task.takes_self = bind
        task.__doc__ = function.__doc__
        task.__module__ = function.__module__
        task.__name__ = function.__name__  # type: ignore[attr-defined]  # tasks look like their functions
        task.__qualname__ = getattr(function, "__qualname__", function.__name__)  # type: ignore[attr-defined]
        for option, value in options.items():
            if option not in _WITHOUT_EFFECT:
                give(task, option, value)
        self.add(task)
        return task

    def of_class(self, task: TaskType | type[TaskType], **options: Any) -> TaskType:
        """Return a class-based task, given as an instance or a class, with these attributes."""
        instance = task() if isinstance(task, type) else task
        instance.app = self._app
        if not instance.name:
            instance.name = self._app.gen_task_name(type(instance).__name__, type(instance).__module__)
        for option, value in options.items():
            give(instance, option, value)
        self.add(instance)
        return instance

    def add(self, task: Task) -> None:
        """Add a task, annotated once the settings are final."""
        if hasattr(type(task), "execute"):
            warnings.warn(
                f"{type(task).__name__}.execute() is never called: tasks do not hand themselves to the pool. Let "
                "__call__(), before_start() or a custom pool do what it does",
                DeprecationWarning,
                stacklevel=5,
            )
        if getattr(task, "immediate", False):
            refuse_immediate(task.name)
        task.on_bound(self._app)
        if self._app.finalized:
            annotate(task, self._app.conf.task_annotations)
        self._registry.register(task)

    def annotate_all(self) -> None:
        """Give the tasks there are what the annotations say."""
        for task in self._registry.values():
            annotate(task, self._app.conf.task_annotations)

    def base_class(self, given: type[Task] | str | None) -> type[Task]:
        """Return the class of this application's tasks, made of a class, its dotted path, or Celery's own."""
        base: Any = given or Task
        if isinstance(base, str):
            module, _, attribute = base.replace(":", ".").rpartition(".")
            base = getattr(importlib.import_module(module), attribute)
        return type(base.__name__, (base,), {"app": self._app, "__module__": base.__module__, "abstract": True})
