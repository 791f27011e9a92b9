"""The answer of ``tq plugins test``: promises down, plugins across."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from tq_core.cli.output import Output
from tq_core.testing.conformance.report import Report, Row, Verdict


def write_json(reports: Sequence[Report]) -> None:
    """Write all there is to know, as a list with an object for each contract of each plugin."""
    click.echo(json.dumps([json.loads(report.to_json()) for report in reports], indent=2, ensure_ascii=False))


def write(reports: Sequence[Report], output: Output, *, details: bool) -> None:
    """Write the table, then the reasons of what was not kept or not run, then the counts.

    Args:
        reports: what the kit found.
        output: where to.
        details: write tracebacks, too.
    """
    plugins = list(dict.fromkeys(report.plugin for report in reports))
    columns = {"contract": "contract", "promise": "promise", **{f"plugin:{p}": p for p in plugins}}
    columns["sentence"] = "what is promised"
    output.rows(_rows(reports), columns)
    for report in reports:
        for row in report.rows:
            if row.verdict is Verdict.BROKEN:
                _tell(report, row, details=details)
    for report in reports:
        _tell_not_run(report)
    click.echo()
    for report in reports:
        click.echo(f"{report.plugin}, {report.contract}: {_counts(report)}")


def _rows(reports: Sequence[Report]) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for report in reports:
        for row in report.rows:
            known = rows.setdefault(
                (report.contract, row.promise),
                {"contract": report.contract, "promise": row.promise, "sentence": row.sentence},
            )
            known[f"plugin:{report.plugin}"] = row.verdict.value
    return list(rows.values())


def _counts(report: Report) -> str:
    if report.problem:
        return "could not be tried"
    counts = {verdict: f"{count} {verdict.value}" for verdict, count in report.counts().items() if count}
    if Verdict.UNDECLARED in counts:
        missing = dict.fromkeys(row.reason for row in report.rows if row.verdict is Verdict.UNDECLARED)
        counts[Verdict.UNDECLARED] += f" ({', '.join(missing)})"
    return ", ".join(counts.values())


def _tell(report: Report, row: Row, *, details: bool) -> None:
    click.echo(f"\nbroken: {row.promise} ({report.plugin}): {row.sentence}")
    click.echo(f"  {', '.join(row.checks)}: {row.reason}")
    if details and row.details:
        click.echo("  " + row.details.replace("\n", "\n  "))


def _tell_not_run(report: Report) -> None:
    """Tell why promises were not run, once for each reason."""
    promises: dict[str, list[str]] = {}
    for row in report.rows:
        if row.verdict is Verdict.NOT_RUN:
            promises.setdefault(row.reason, []).append(row.promise)
    for reason, names in promises.items():
        click.echo(f"\nnot run ({report.plugin}): {', '.join(names)}\n  {reason}")
