"""``tq plugins``: what is installed, what it can do, and whether it can be used.

Data goes to stdout, chatter to stderr. Exit codes: 0, 2 for a mistake on the command line, 4 when a
check failed.

``tq plugins test`` and ``tq plugins new`` are modules of their own.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tq_core.cli.invocation import Invocation
from tq_core.cli.plugin_conformance import DECISIONS, try_plugins
from tq_core.cli.plugin_scaffold import new_plugin

if TYPE_CHECKING:
    from tq_core.plugin.manager import PluginManager
    from tq_core.plugin.survey import Status

#: Exit code of ``check`` when something cannot be used.
CHECK_FAILED = 4

_COLOURS = {
    "ok": "green",
    "listed": "dim",
    "disabled": "yellow",
    "conflict": "red",
    "outdated": "red",
    "broken": "red",
    "missing dependency": "red",
}


@click.group(invoke_without_command=True)
@click.option("--disable", multiple=True, metavar="NAME", help="Leave out a distribution, or kind.name.")
@click.option("--prefer", multiple=True, metavar="KIND.NAME=DIST", help="Decide a conflict.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def plugins(context: click.Context, disable: Sequence[str], prefer: Sequence[str], *, as_json: bool) -> None:
    """List, check and test the installed brokers, backends, serializers, pools and extensions; write new ones."""
    from tq_core.plugin.manager import PluginManager

    manager = context.find_object(PluginManager)
    decisions = dict(_decision(text) for text in prefer)
    if manager is None or disable or prefer:
        manager = PluginManager(disabled=disable, prefer=decisions)
    context.obj = manager
    context.meta[DECISIONS] = {"plugins_disabled": list(disable), "plugins_prefer": decisions}
    root = context.find_root().obj
    context.meta[f"{__name__}.json"] = as_json or (isinstance(root, Invocation) and root.output.as_json)
    if context.invoked_subcommand is None:
        context.invoke(list_plugins)


plugins.add_command(try_plugins)
plugins.add_command(new_plugin)


def _decision(text: str) -> tuple[str, str]:
    name, equals, distribution = text.partition("=")
    if not equals or "." not in name:
        raise click.BadParameter(f"{text!r} is not of the form brokers.demo=dist-name", param_hint="--prefer")
    return name, distribution


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _wants_json(as_json: bool) -> bool:
    return as_json or bool(click.get_current_context().meta.get(f"{__name__}.json"))


@plugins.command("list")
@_json_option
@click.pass_obj
def list_plugins(manager: PluginManager, *, as_json: bool = False) -> None:
    """List every name that an installed distribution offers."""
    from tq_core.plugin.survey import survey

    _print(survey(manager), as_json=_wants_json(as_json))


@plugins.command("show")
@click.argument("name")
@_json_option
@click.pass_obj
def show_plugin(manager: PluginManager, name: str, *, as_json: bool) -> None:
    """Show what NAME, a URL scheme, a name or a distribution, can do."""
    from tq_core.plugin.survey import survey

    found = _named(survey(manager), name)
    if _wants_json(as_json):
        _print(found, as_json=True)
        return
    for status in found:
        click.echo(f"{status.kind}.{status.name}: {status.state}")
        click.echo(f"  from {status.distribution} {status.version}, module {status.module}")
        if status.summary:
            click.echo(f"  {status.summary}")
        if status.problem:
            click.echo(f"  {status.problem}")
        for flag, (value, sentence) in status.capabilities.items():
            mark = {True: "yes", False: "no"}.get(value, str(value))
            click.echo(f"  {flag:<16} {mark:<10} {sentence}")


@plugins.command("check")
@click.argument("name", required=False)
@_json_option
@click.pass_obj
def check_plugins(manager: PluginManager, name: str | None, *, as_json: bool) -> None:
    """Import and test everything, or NAME alone; exit with 4 when something cannot be used."""
    from tq_core.plugin.survey import FAILURES, survey

    statuses = survey(manager, thorough=True)
    if name is not None:
        statuses = _named(statuses, name)
    _print(statuses, as_json=_wants_json(as_json))
    failed = [status for status in statuses if status.state in FAILURES]
    if failed:
        click.echo(f"{len(failed)} of {len(statuses)} cannot be used", err=True)
        sys.exit(CHECK_FAILED)


def _named(statuses: list[Status], name: str) -> list[Status]:
    """Return the statuses that a user's word stands for, or end with a usage error."""
    from tq_core.plugin.catalogue import normalized

    word = name.partition("://")[0]
    found = [
        s for s in statuses if word in (s.name, f"{s.kind}.{s.name}") or normalized(s.distribution) == normalized(word)
    ]
    if not found:
        import difflib

        words = sorted({s.name for s in statuses} | {s.distribution for s in statuses})
        near = difflib.get_close_matches(word, words, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise click.BadParameter(f"nothing installed is called {name!r}{hint}", param_hint="NAME")
    return found


def _print(statuses: list[Status], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_as_data(status) for status in statuses], indent=2))
    elif sys.stdout.isatty():
        _print_table(statuses)
    else:
        for s in statuses:
            line = f"{s.kind}\t{s.name}\t{s.state}\t{s.distribution}\t{s.version}"
            click.echo(line + (f"\t{' '.join(s.problem.split())}" if s.problem else ""))


def _as_data(status: Status) -> dict[str, object]:
    data = dataclasses.asdict(status)
    data["capabilities"] = {flag: value for flag, (value, _) in status.capabilities.items()}
    return data


def _print_table(statuses: list[Status]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("kind", "name", "state", "distribution", "version"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what to do", overflow="fold")
    for s in statuses:
        state = Text(s.state, style=_COLOURS.get(s.state, ""))
        table.add_row(s.kind, s.name, state, s.distribution, s.version, Text(s.problem or ""))
    Console().print(table)


if __name__ == "__main__":
    plugins(prog_name="tq plugins")
