"""``tq config``: checks, shows and compares configurations.

Data goes to standard output, everything else to standard error. Exit status: 0 all is well, 2 the command was
used wrongly, 3 a configuration has mistakes or cannot be read.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from tq_core.config.loading import discover, load_settings, read
from tq_core.config.mistake import EXIT_INVALID, ConfigurationInvalid
from tq_core.config.settings import DEFAULT_ORIGIN, Settings
from tq_core.config.table import nearest_setting
from tq_core.config.validation import checked_values
from tq_core.errors import ImproperlyConfigured

#: Where the root command leaves the JSON Schema of the plugins' settings, in ``ctx.meta``.
PLUGIN_SETTINGS = "tq_core.plugin_settings"
_CONFIG = "tq_core.config_option"

_Result = TypeVar("_Result")


@click.group()
@click.option("--config", "config_name", metavar="FILE", help="File or module to read instead of celeryconfig.")
@click.pass_context
def config(ctx: click.Context, config_name: str | None) -> None:
    """Check, show and compare configurations."""
    if config_name is not None:
        ctx.meta[_CONFIG] = config_name


@config.command()
@click.argument("files", nargs=-1)
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...]) -> None:
    """Find every mistake in FILES, or in the configuration that would be used."""
    invalid = False
    mistakes: list[str] = []
    targets: tuple[str | None, ...] = files or (ctx.meta.get(_CONFIG),)
    for target in targets:
        name = target or discover(os.environ) or "the environment and the defaults"
        try:
            if files:
                checked_values(read(target), _plugin_settings(ctx))
            else:
                load_settings(target, plugin_settings=_plugin_settings(ctx))
        except ConfigurationInvalid as error:
            invalid = True
            mistakes += [str(mistake) for mistake in error.mistakes]
        except Exception as error:  # a Python configuration may raise anything
            invalid = True
            mistakes.append(_sentence(name, error))
        else:
            click.echo(f"{name}: no mistakes", err=True)
    for line in mistakes:
        click.echo(line)
    if invalid:
        click.echo(f"{len(mistakes)} mistake{'' if len(mistakes) == 1 else 's'}", err=True)
        ctx.exit(EXIT_INVALID)


@config.command()
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@click.option("--changed", is_flag=True, help="Leave out what has its default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("names", nargs=-1)
@click.pass_context
def show(ctx: click.Context, origin: bool, changed: bool, as_json: bool, names: tuple[str, ...]) -> None:
    """Print the settings NAMES, or all of them, with passwords hidden."""
    settings = _loaded(ctx, lambda: load_settings(ctx.meta.get(_CONFIG), plugin_settings=_plugin_settings(ctx)))
    chosen = [_known(settings, name) for name in names] or sorted(settings)
    if changed:
        chosen = [name for name in chosen if settings.is_set(name)]
    masked = settings.masked()
    values = {name: _plain(masked[name]) for name in chosen}
    if as_json:
        document: dict[str, Any] = values
        if origin:
            document = {name: {"value": values[name], "origin": settings.origin(name)} for name in chosen}
        click.echo(json.dumps(document, indent=2, default=repr))
    elif sys.stdout.isatty():
        _print_table(settings, values, origin)
    else:
        for name, value in values.items():
            click.echo(f"{name} = {_text(value)}" + (f"  # {settings.origin(name)}" if origin else ""))


@config.command()
@click.pass_context
def schema(ctx: click.Context) -> None:
    """Print the JSON Schema of celeryconfig.yaml, for editors."""
    from tq_core.config.schema import settings_schema

    click.echo(json.dumps(settings_schema(_plugin_settings(ctx)), indent=2))


@config.command()
@click.argument("a")
@click.argument("b")
@click.pass_context
def diff(ctx: click.Context, a: str, b: str) -> None:
    """Print the settings in which the configurations A and B differ."""

    def load(name: str) -> Settings:
        return _loaded(ctx, lambda: load_settings(name, environ={}, plugin_settings=_plugin_settings(ctx)))

    first, second = load(a), load(b)
    old, new = first.masked(), second.masked()
    for name in sorted(first):
        if first[name] == second[name]:
            continue
        before, after = _text(_plain(old[name])), _text(_plain(new[name]))
        note = "  # the values differ, and are hidden" if before == after else ""
        click.echo(f"- {name} = {before}{_defaulted(first, name)}")
        click.echo(f"+ {name} = {after}{_defaulted(second, name)}{note}")


def _defaulted(settings: Settings, name: str) -> str:
    return "" if settings.is_set(name) else f"  # {DEFAULT_ORIGIN}"


def _plugin_settings(ctx: click.Context) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = ctx.meta.get(PLUGIN_SETTINGS, {})
    return found


def _loaded(ctx: click.Context, load: Callable[[], _Result]) -> _Result:
    try:
        return load()
    except ConfigurationInvalid as error:
        text = str(error)
    except Exception as error:  # a Python configuration may raise anything
        text = _sentence(ctx.meta.get(_CONFIG) or "configuration", error)
    click.echo(text, err=True)
    return ctx.exit(EXIT_INVALID)


def _sentence(name: str, error: Exception) -> str:
    """Say what stopped a configuration from being read, with the place in the file where there is one."""
    if isinstance(error, ImproperlyConfigured):
        return str(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(name)]
    place = f"{name}:{frames[-1].lineno}:1" if frames else name
    return f"{place}: {type(error).__name__}: {error}"


def _known(settings: Settings, name: str) -> str:
    known = settings.canonical(name)
    if known is None:
        near = nearest_setting(name)
        hint = f"; did you mean {near!r}?" if near else "."
        raise click.UsageError(f"There is no setting {name!r}{hint}")
    return known


def _print_table(settings: Settings, values: Mapping[str, Any], origin: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("setting", "value", *(["origin"] if origin else []))
    for name, value in values.items():
        style = "bold" if settings.is_set(name) else ""
        cells = [Text(name, style=style), Text(_text(value), style=style)]
        table.add_row(*cells, *([Text(settings.origin(name))] if origin else []))
    Console().print(table)


def _plain(value: Any) -> Any:
    """Turn a value into what JSON can say, as far as it can."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, float) and value == float("inf"):
        return "inf"
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)
