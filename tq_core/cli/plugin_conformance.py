"""``tq plugins test``: what plugins promise, tried by the conformance kit.

Exit codes: 0 every promise is kept, 1 one is broken, and those of errors for a plugin that could not be tried at all.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tq_core.cli.exit_codes import ExitCode, code_for
from tq_core.cli.invocation import output_of

if TYPE_CHECKING:
    from tq_core.plugin.manager import PluginManager
    from tq_core.testing.conformance.report import Report

#: Key in a context's ``meta`` of what ``--disable`` and ``--prefer`` of ``tq plugins`` say, as settings.
DECISIONS = f"{__name__}.decisions"


@click.command("test")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--url", metavar="URL", help="Where a broker, backend or schedule store is; for a single NAME.")
@click.option("--contract", "contracts", multiple=True, metavar="CONTRACT", help="Try this contract only.")
@click.option("--only", multiple=True, metavar="PROMISE", help="Try this promise only, or all of this area.")
@click.option("--setting", "settings", multiple=True, metavar="NAME=VALUE", help="A setting; the value is YAML.")
@click.option("--details", is_flag=True, help="Show the tracebacks behind broken promises.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write JUnit XML, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def try_plugins(
    context: click.Context,
    names: Sequence[str],
    url: str | None,
    contracts: Sequence[str],
    only: Sequence[str],
    settings: Sequence[str],
    junit: Path | None,
    *,
    details: bool,
    as_json: bool,
) -> None:
    """Try every promise that a plugin declares, and show which it keeps; exit with 1 when one is broken.

    NAME is a registered name, a URL, or the path of a class (which needs --contract). Several make several columns.
    Contracts are broker, backend, coordination, serializer, pool, schedule_store and plugin (the description);
    without --contract all are tried that NAME is installed for.

    The checks use names of their own and tidy up, but give them a store that nobody works with. Needs
    pip install 'tq-core[testing]'.
    """
    from tq_core.cli import promise_table
    from tq_core.cli.conformance_subjects import subjects_of

    output = output_of(context)
    output.as_json = output.as_json or as_json
    given = {**context.meta[DECISIONS], **_settings(settings, context.obj)}
    reports = []
    for subject in list(subjects_of(context.obj, names, url, contracts)):
        output.note(f"trying the {subject.contract} contract on {subject.label} …")
        reports.append(subject.tried(given, only))
    if only:  # other contracts of the same plugins may have no such promise
        reports = [report for report in reports if report.rows or report.problem]
        if not reports:
            raise click.BadParameter(f"there is no promise or area {', '.join(only)!r}", param_hint="--only")
    if output.as_json:
        promise_table.write_json(reports)
    else:
        promise_table.write(reports, output, details=details)
    if junit is not None:
        _write_junit(reports, junit)
    sys.exit(_exit_code(reports))


def _settings(texts: Sequence[str], manager: PluginManager) -> dict[str, Any]:
    """Read and check what ``--setting`` says.

    Raises:
        ConfigurationInvalid: a name is unknown, or a value is not what the setting takes.
    """
    import yaml

    from tq_core.config.mistake import Position
    from tq_core.config.source import Entry, Source
    from tq_core.config.validation import checked_values

    entries = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not of the form name=value", param_hint="--setting")
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise click.BadParameter(f"the value of {name!r} is not YAML: {error}", param_hint="--setting") from None
        entries.append(Entry(name, read, Position("--setting")))
    if not entries:
        return {}
    values, _ = checked_values(Source("command line", tuple(entries), plain=True), manager.settings_schema())
    # The kit hands settings to another process, as plain data.
    return {name: v.total_seconds() if isinstance(v, timedelta) else v for name, v in values.items()}


def _write_junit(reports: Sequence[Report], path: Path) -> None:
    from tq_core.testing.conformance.report import write_junit

    try:
        write_junit(reports, path)
    except OSError as error:
        raise click.ClickException(f"--junit {path}: {error.strerror or error}") from error


def _exit_code(reports: Sequence[Report]) -> int:
    """Return the code of the first plugin that could not be tried, else whether a promise is broken."""
    from tq_core import errors

    untried = [report for report in reports if report.problem]
    for report in untried:
        click.echo(f"The {report.contract} contract cannot be tried on {report.plugin}: {report.problem}", err=True)
    if untried:
        # The kit runs in another process, whose errors come as text that begins with their names.
        kind = getattr(errors, untried[0].problem.partition(":")[0], None)
        return int(code_for(kind())) if isinstance(kind, type) else int(ExitCode.FAILURE)
    return int(ExitCode.FAILURE if any(report.exit_code for report in reports) else ExitCode.OK)
