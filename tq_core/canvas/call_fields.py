"""What a signature says of its call, read out of the map that it is, for every kind of canvas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class CallFields(dict[str, Any]):
    """The fields of a call that has not been made, under the names that Celery writes."""

    @property
    def task(self) -> str:
        """Name of the task."""
        name: str = self["task"]
        return name

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.task

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments."""
        return tuple(self["args"])

    @args.setter
    def args(self, value: Sequence[Any]) -> None:
        self["args"] = tuple(value)

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments."""
        found: dict[str, Any] = self["kwargs"]
        return found

    @kwargs.setter
    def kwargs(self, value: Mapping[str, Any]) -> None:
        self["kwargs"] = dict(value)

    @property
    def options(self) -> dict[str, Any]:
        """Options of ``apply_async``."""
        found: dict[str, Any] = self["options"]
        return found

    @options.setter
    def options(self, value: Mapping[str, Any]) -> None:
        self["options"] = dict(value)

    @property
    def subtask_type(self) -> str | None:
        """Kind of canvas, None for a plain task."""
        kind: str | None = self.get("subtask_type")
        return kind

    @property
    def immutable(self) -> bool:
        """True when results of earlier tasks are not added to the arguments."""
        return bool(self.get("immutable"))

    @immutable.setter
    def immutable(self, value: bool) -> None:
        self["immutable"] = value

    @property
    def id(self) -> str | None:
        """Id of the result, once frozen."""
        task_id: str | None = self.options.get("task_id")
        return task_id

    @property
    def parent_id(self) -> str | None:
        """Id of the task before it, once known."""
        parent_id: str | None = self.options.get("parent_id")
        return parent_id

    @property
    def root_id(self) -> str | None:
        """Id of the work-flow's first task, once known."""
        root_id: str | None = self.options.get("root_id")
        return root_id
