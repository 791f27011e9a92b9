"""How commands speak: data on standard output, chatter on standard error.

Here alone is decided whether data are JSON, a table for eyes, or plain lines for other programs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import click


class Output:
    """Where one command writes.

    Args:
        as_json: write data as JSON.
        quiet: leave out the chatter.
        color: False never writes colours.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, color: bool = True) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.color = color

    @property
    def fancy(self) -> bool:
        """Whether a person looks at standard output."""
        return not self.as_json and sys.stdout.isatty()

    def rows(self, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, empty: str = "") -> None:
        """Write many things of one kind.

        Args:
            rows: one mapping each; JSON shows all of it.
            columns: headings of the columns of a table, by key.
            empty: said to a person when there is none.
        """
        if self.as_json:
            self._json(list(rows))
        elif not rows:
            self.note(empty)
        elif self.fancy:
            self._table(rows, columns)
        else:
            self._lines(rows, columns)

    def record(self, record: Mapping[str, Any], *, plain: str | None = None) -> None:
        """Write one thing.

        Args:
            record: its parts by name.
            plain: what to write instead where JSON was not asked for.
        """
        if self.as_json:
            self._json(record)
        elif plain is not None:
            click.echo(plain)
        else:
            for name, value in record.items():
                click.echo(f"{name}: {_text(value)}")

    def note(self, text: str) -> None:
        """Say something to the person who watches."""
        if text and not self.quiet:
            click.echo(text, err=True)

    def progress(self, total: int, label: str) -> Any:
        """Return a context manager with ``advance(count)``: a bar on a terminal, silent elsewhere."""
        return _Bar(total, label) if sys.stderr.isatty() and not self.quiet else _NoBar()

    def _json(self, value: Any) -> None:
        indent = 2 if sys.stdout.isatty() else None
        click.echo(json.dumps(value, default=_plain_data, ensure_ascii=False, indent=indent))

    def _table(self, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold", pad_edge=False)
        for key, heading in columns.items():
            numeric = all(isinstance(row.get(key), (int, float)) for row in rows)
            table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(_text(row.get(key))) for key in columns))
        Console(no_color=not self.color, highlight=False).print(table)

    def _lines(self, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
        texts = [[heading.upper() for heading in columns.values()]]
        texts += [[_text(row.get(key)).replace("\n", " ") for key in columns] for row in rows]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        for line in texts:
            click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


class _NoBar:
    """Progress nobody looks at."""

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def advance(self, count: int = 1) -> None:
        """Note that ``count`` more are done."""


class _Bar(_NoBar):
    """A bar on standard error."""

    def __init__(self, total: int, label: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(label, total=total)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._progress.stop()

    def advance(self, count: int = 1) -> None:
        self._progress.advance(self._task, count)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    return value if isinstance(value, str) else json.dumps(value, default=_plain_data, ensure_ascii=False)


def _plain_data(value: Any) -> Any:
    """Stand in for what JSON has no form for."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return list(value) if isinstance(value, (set, frozenset)) else str(value)
