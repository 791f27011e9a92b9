"""The kinds of value a worker's options take."""

from __future__ import annotations

from typing import Any, TypeAlias

import click

#: Names given with commas between them.
Names: TypeAlias = tuple[str, ...]


class LogLevel(click.ParamType):  # type: ignore[type-arg]  # generic only in newer click
    """A level by name, in any case, or by number."""

    name = "level"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the level's number."""
        from tq_core.log import level_number

        try:
            return level_number(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Concurrency(click.ParamType):  # type: ignore[type-arg]  # generic only in newer click
    """A positive number, or ``auto``."""

    name = "int|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or ``"auto"``."""
        if str(value).lower() == "auto":
            return "auto"
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor auto", param, ctx)
        if number < 0:
            self.fail(f"{number} is below 0", param, ctx)
        # Celery takes 0 for "as many as there are processors".
        return number or "auto"


class CommaSeparated(click.ParamType):  # type: ignore[type-arg]  # generic only in newer click
    """Names with commas between them."""

    name = "a,b,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Names:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        return tuple(name.strip() for name in str(value).split(",") if name.strip())


class Autoscale(click.ParamType):  # type: ignore[type-arg]  # generic only in newer click
    """The most runners, and after a comma the fewest."""

    name = "max,min"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return both numbers, the larger one first."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = [int(part) for part in str(value).split(",")]
        except ValueError:
            self.fail(f"{value!r}: one or two numbers such as 10,3 are expected", param, ctx)
        if len(numbers) not in (1, 2) or min(numbers) < 0 or max(numbers) < 1:
            self.fail(f"{value!r}: one or two numbers such as 10,3 are expected", param, ctx)
        return max(numbers), min(numbers) if len(numbers) == 2 else 0


LOG_LEVEL = LogLevel()
CONCURRENCY = Concurrency()
NAMES = CommaSeparated()
AUTOSCALE = Autoscale()
