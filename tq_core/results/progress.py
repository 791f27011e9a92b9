"""How far waiting for many results has come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any


def shown(arriving: Iterable[Any], total: int, progress: bool | Callable[[int, int], Any]) -> Iterator[Any]:
    """Yield what arrives, and tell how many have.

    Args:
        arriving: results.
        total: how many there will be.
        progress: called with both numbers; True draws a bar on standard error.
    """
    with ExitStack() as stack:
        tell = progress if callable(progress) else _bar(stack, total)
        tell(0, total)
        for here, result in enumerate(arriving, 1):
            tell(here, total)
            yield result


def _bar(stack: ExitStack, total: int) -> Callable[[int, int], Any]:
    from rich.console import Console  # slow to import, and only wanted where somebody watches
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True)))
    line = bar.add_task("results", total=total)
    return lambda here, _: bar.update(line, completed=here)
