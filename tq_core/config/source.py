"""What one source of settings holds, before anything has been checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tq_core.config.mistake import Mistake, Position


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting as it was written.

    Attributes:
        name: the spelling that was used.
        value: the value, not read yet.
        position: where the name stands.
        inner: where the parts of the value stand, by their path; the value itself is at ``()``, and the
            name of the last key of a path is at the path followed by None.
    """

    name: str
    value: Any
    position: Position
    inner: Mapping[tuple[Any, ...], Position] = field(default_factory=dict)

    def at(self, path: tuple[Any, ...] = (), *, key: bool = False) -> Position:
        """Return where a part of the value stands, or the closest part around it that is known."""
        named = (*path, None)
        if key and named in self.inner:
            return self.inner[named]
        while path and path not in self.inner:
            path = path[:-1]
        return self.inner.get(path, self.position)


@dataclass(frozen=True, slots=True)
class Source:
    """The settings of one source.

    Attributes:
        name: a path, a module's name, or words.
        entries: what it holds, in its order.
        mistakes: what could not even be read.
        strict: True if a name nobody knows is a mistake.
        plain: True if the values are YAML's, so that they can be held against the JSON Schema.
    """

    name: str
    entries: tuple[Entry, ...]
    mistakes: tuple[Mistake, ...] = ()
    strict: bool = True
    plain: bool = False
