"""Applying ``task_annotations``: attributes of tasks set from the configuration."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tq_core.task import Task


def annotate(task: Task, annotations: Any) -> None:
    """Set the attributes that annotations give a task; those for its name win over those for ``*``.

    ``"@method": decorator`` puts a decorator around a method, ``"@__call__"`` around the body.

    Args:
        task: the task.
        annotations: a mapping, an object with ``annotate`` and ``annotate_any``, its dotted path, or some of these.
    """
    if not annotations:
        return
    entries = annotations if isinstance(annotations, (list, tuple)) else [annotations]
    for attributes in [a for entry in entries for a in _attributes(task, entry)]:
        for name, value in attributes.items():
            if name.startswith("@"):
                # Around the method of that name: what it is called with and returns passes through the decorator.
                _wrap(task, name[1:], value)
            else:
                give(task, name, value)


def give(task: Task, name: str, value: Any) -> None:
    """Set an attribute as a class body would: a function becomes a method, since handlers are written with ``self``."""
    setattr(task, name, MethodType(value, task) if inspect.isfunction(value) else value)


def _wrap(task: Task, method: str, decorator: Callable[[Any], Any]) -> None:
    if method == "__call__":
        # Python looks for it on the class, and a worker calls the body itself where nobody wrote another.
        method = "run"
    setattr(task, method, decorator(getattr(task, method)))


def _attributes(task: Task, entry: Any) -> Iterable[Mapping[str, Any]]:
    if isinstance(entry, str):
        module, _, name = entry.replace(":", ".").rpartition(".")
        entry = getattr(importlib.import_module(module), name)
    if inspect.isclass(entry):
        entry = entry()
    if isinstance(entry, Mapping):
        found = (entry.get("*"), entry.get(task.name))
    else:
        found = (entry.annotate_any() if hasattr(entry, "annotate_any") else None, entry.annotate(task))
    return [attributes for attributes in found if attributes]
