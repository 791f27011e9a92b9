"""Walking from a result to the results of the tasks it sent, and of those they sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from tq_core.errors import IncompleteStream


def pairs(root: Any, intermediate: bool) -> Iterator[tuple[Any, Any]]:
    """Yield ``(parent, result)``, breadth first, from ``(None, root)`` on.

    Args:
        root: a result or a set of results.
        intermediate: go on past results that are not ready.

    Raises:
        IncompleteStream: a result is not ready, so what follows from it is not known.
    """
    found: deque[tuple[Any, Any]] = deque([(None, root)])
    while found:
        parent, node = found.popleft()
        yield parent, node
        if node.ready():
            found.extend((node, child) for child in node.children or ())
        elif not intermediate:
            raise IncompleteStream(f"{node!r} is not ready, so the results that follow from it are not known yet")


def values(root: Any, **options: Any) -> Iterator[tuple[Any, Any]]:
    """Yield ``(result, value)``, breadth first, waiting for each with ``get(**options)``."""
    found: deque[Any] = deque([root])
    while found:
        node = found.popleft()
        yield node, node.get(**options)
        found.extend(node.children or ())


def _graph_of(root: Any, intermediate: bool) -> dict[Any, list[Any]]:
    """Return each result with those that followed from it directly."""
    found: dict[Any, list[Any]] = {}
    for parent, node in pairs(root, intermediate):
        found.setdefault(node, [])
        if parent is not None:
            found[parent].append(node)
    return found


class Ancestor:
    """A handle from which one can walk on to the results that followed from it."""

    __slots__ = ()

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Any, Any]]:
        """Yield ``(parent, result)`` of this result and all that followed from it.

        Args:
            intermediate: also yield results that are not ready; otherwise they raise.

        Raises:
            IncompleteStream: a result is not ready, so what follows from it is not known.
        """
        return pairs(self, intermediate)

    def collect(self, intermediate: bool = False, **kwargs: Any) -> Iterator[tuple[Any, Any]]:
        """Yield ``(result, value)`` of this result and all that followed from it, waiting for each.

        Args:
            intermediate: see :meth:`iterdeps`.
            **kwargs: for :meth:`get`.
        """
        return values(self, **kwargs)

    def get_leaf(self) -> Any:
        """Return the value of the last result that followed from this one."""
        value = None
        for _, found in self.collect():
            value = found
        return value

    def build_graph(self, intermediate: bool = False, formatter: Any = None) -> dict[Any, list[Any]]:
        """Return each result with the results that followed from it directly."""
        return _graph_of(self, intermediate)

    @property
    def graph(self) -> dict[Any, list[Any]]:
        """As :meth:`build_graph`."""
        return self.build_graph()
