"""Writes the reference of the command line from the commands themselves: ``python -m tq_core.cli.reference``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from tq_core.cli.exit_codes import ExitCode
from tq_core.cli.main import COMMANDS, Root, tq

#: Where the page is kept, from the top of the checkout.
PAGE = "docs/reference/cli.md"

_HEAD = """# The command line

This page is written by `python -m tq_core.cli.reference`; change the commands, not the page.

Data go to standard output, everything else to standard error. On a terminal, lists are tables; otherwise they are plain
lines with aligned columns, and with `--json` they are JSON. The options of `tq` itself may stand before the command or
after it. Commands that plugins add are shown by `tq --help`.
"""


def reference() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD, _exit_codes(), "## tq\n", _help(tq, ["tq"])]
    root = click.Context(tq, info_name="tq")
    for name in COMMANDS:
        command = Root.get_command(tq, root, name)
        if command is not None:
            parts += _pages(command, ["tq", name])
    return "\n".join(parts)


def _pages(command: click.Command, path: list[str]) -> Iterator[str]:
    yield f"## {' '.join(path)}\n"
    yield _help(command, path)
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from _pages(below, [*path, name])


def _help(command: click.Command, path: list[str]) -> str:
    parent = None
    for word in path[:-1]:
        parent = click.Context(click.Command(word), info_name=word, parent=parent)
    context = click.Context(
        command,
        info_name=path[-1],
        parent=parent,
        terminal_width=100,
        max_content_width=100,
        help_option_names=["-h", "--help"],
    )
    lines = [line.rstrip() for line in command.get_help(context).splitlines()]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def _exit_codes() -> str:
    rows = "\n".join(f"| {code.value} | {code.sentence} |" for code in ExitCode)
    return f"## Exit codes\n\n| code | meaning |\n|---|---|\n{rows}\n"


if __name__ == "__main__":
    page = Path(PAGE)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(reference(), "utf-8")
