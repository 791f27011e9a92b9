"""``tq config``: checks, shows and compares configurations.

Data goes to standard output, everything else to standard error. Exit status: 0 all is well, 2 the command was
used wrongly, 3 a configuration has mistakes or cannot be read.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from tq_core.cli.invocation import Invocation
from tq_core.config.loading import discover, load_settings, read_named
from tq_core.config.mistake import EXIT_INVALID, ConfigurationInvalid, Mistake
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
    findings: list[dict[str, Any]] = []
    for target in files or (_config_name(ctx),):
        name = target or discover(os.environ) or "the environment and the defaults"
        try:
            if files:
                checked_values(read_named(name), _plugin_settings(ctx))
            else:
                load_settings(target, plugin_settings=_plugin_settings(ctx))
        except ConfigurationInvalid as error:
            findings += [_finding(mistake) for mistake in error.mistakes]
        except Exception as error:  # a Python configuration may raise anything
            findings.append({"file": name, "text": _sentence(name, error)})
        else:
            if not _wants_json(ctx):
                click.echo(f"{name}: no mistakes", err=True)
    if _wants_json(ctx):
        click.echo(json.dumps(findings, ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(finding["text"])
    if findings:
        click.echo(f"{len(findings)} mistake{'' if len(findings) == 1 else 's'}", err=True)
        ctx.exit(EXIT_INVALID)


def _finding(mistake: Mistake) -> dict[str, Any]:
    at = mistake.position
    return {
        "file": at.file,
        "line": at.line,
        "column": at.column,
        "setting": mistake.setting,
        "nearest": mistake.nearest,
        "text": str(mistake),
    }


@config.command()
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@click.option("--changed", is_flag=True, help="Leave out what has its default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("names", nargs=-1)
@click.pass_context
def show(ctx: click.Context, origin: bool, changed: bool, as_json: bool, names: tuple[str, ...]) -> None:
    """Print the settings NAMES, or all of them, with passwords hidden."""
    settings = _loaded(ctx, lambda: _settings_in_use(ctx))
    chosen = [_known(settings, name) for name in names] or sorted(settings)
    if changed:
        chosen = [name for name in chosen if settings.is_set(name)]
    masked = settings.masked()
    values = {name: _plain(masked[name]) for name in chosen}
    if as_json or _wants_json(ctx):
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
    differing = [name for name in sorted(first) if first[name] != second[name]]
    if _wants_json(ctx):
        document = {name: {"a": _plain(old[name]), "b": _plain(new[name])} for name in differing}
        click.echo(json.dumps(document, ensure_ascii=False, default=repr))
        return
    for name in differing:
        before, after = _text(_plain(old[name])), _text(_plain(new[name]))
        note = "  # the values differ, and are hidden" if before == after else ""
        click.echo(f"- {name} = {before}{_defaulted(first, name)}")
        click.echo(f"+ {name} = {after}{_defaulted(second, name)}{note}")


def _defaulted(settings: Settings, name: str) -> str:
    return "" if settings.is_set(name) else f"  # {DEFAULT_ORIGIN}"


def _plugin_settings(ctx: click.Context) -> Mapping[str, Mapping[str, Any]]:
    given: Mapping[str, Mapping[str, Any]] | None = ctx.meta.get(PLUGIN_SETTINGS)
    if given is None:
        from tq_core.plugin.manager import PluginManager

        given = ctx.meta[PLUGIN_SETTINGS] = PluginManager().settings_schema()
    return given


def _invocation(ctx: click.Context) -> Invocation:
    found = ctx.find_root().obj
    return found if isinstance(found, Invocation) else Invocation()


def _wants_json(ctx: click.Context) -> bool:
    return _invocation(ctx).output.as_json


def _config_name(ctx: click.Context) -> str | None:
    """Return what ``--config`` named, before or after the command."""
    _invocation(ctx).enter_workdir()
    name: str | None = ctx.meta.get(_CONFIG) or _invocation(ctx).options.get("config")
    return name


def _settings_in_use(ctx: click.Context) -> Settings:
    """Return the settings of the application if one is named, else those of the configuration."""
    invocation = _invocation(ctx)
    if ctx.meta.get(_CONFIG):
        invocation.options["config"] = ctx.meta[_CONFIG]
    if any(invocation.options.get(option) for option in ("app", "broker", "result_backend")):
        return invocation.app.conf
    return load_settings(_config_name(ctx), plugin_settings=_plugin_settings(ctx))


def _loaded(ctx: click.Context, load: Callable[[], _Result]) -> _Result:
    try:
        return load()
    except click.ClickException:
        raise  # the command line is what is wrong
    except ConfigurationInvalid as error:
        text = str(error)
    except Exception as error:  # a Python configuration may raise anything
        text = _sentence(_config_name(ctx) or "configuration", error)
    click.echo(text, err=True)
    return ctx.exit(EXIT_INVALID)


def _sentence(name: str, error: Exception) -> str:
    """Say what stopped a configuration from being read."""
    if isinstance(error, ImproperlyConfigured):
        return str(error)
    return f"{name}: {type(error).__name__}: {error}"


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
