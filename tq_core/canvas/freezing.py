"""Freezing: giving every task of a canvas its id and place before anything is sent.

Only a frozen canvas knows its results in advance: the id of a chain's last task is known while its first is sent.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, NamedTuple

from tq_core.ids import new_id


class Place(NamedTuple):
    """Where a signature stands in a larger work-flow.

    Attributes:
        task_id: the id its result is to have, None for a new one.
        group_id, group_index: the group it belongs to, and the position there.
        chord: signature of the chord's body it counts towards.
        root_id, parent_id: first and previous task of the work-flow, where known.
    """

    task_id: str | None = None
    group_id: str | None = None
    group_index: int | None = None
    chord: Any = None
    root_id: str | None = None
    parent_id: str | None = None

    def moved(self, **changes: Any) -> Place:
        """Return a copy with other values."""
        return self._replace(**changes)

    def mark(self, options: MutableMapping[str, Any]) -> str:
        """Write this place into a task's options and return the task's id.

        An id already there stays, so that what was frozen once keeps its results.
        """
        if self.root_id is not None:
            options["root_id"] = self.root_id
        if self.parent_id is not None:
            options["parent_id"] = self.parent_id
        if self.group_id is not None:
            options["group_id"] = self.group_id
        if self.group_index is not None:
            options["group_index"] = self.group_index
        if self.chord is not None:
            options["chord"] = self.chord
        return self.name(options)

    def name(self, options: MutableMapping[str, Any]) -> str:
        """Give a task or group its id, unless it has one, and return it."""
        task_id: str | None = options.get("task_id")
        if task_id is None:
            task_id = options["task_id"] = self.task_id or new_id()
        return task_id

    @classmethod
    def taken_from(cls, options: MutableMapping[str, Any], *, task_id: bool = True) -> Place:
        """Take a place out of a call's options, leaving the rest.

        Args:
            options: the call's options; those of a place are removed.
            task_id: False leaves the id where it is.
        """
        return cls(
            options.pop("task_id", None) if task_id else None,
            options.pop("group_id", None),
            options.pop("group_index", None),
            options.pop("chord", None),
            options.pop("root_id", None),
            options.pop("parent_id", None),
        )


def attach(result: Any, parent: Any) -> None:
    """Make ``parent`` the ancestor of the oldest result that leads to ``result``."""
    if parent is None:
        return
    while result.parent is not None:
        result = result.parent
    if result is not parent:
        result.parent = parent
