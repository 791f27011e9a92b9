"""``tq demo``."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

import click

from tq_core.cli.exit_codes import ExitCode
from tq_core.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from tq_core.demo.run import Report


@click.command()
@click.option("-c", "--concurrency", type=click.IntRange(1), help="Runner processes of the worker.")
@click.option("--limit", type=click.IntRange(1), help="Measure only so many files.")
@pass_invocation
def demo(invocation: Invocation, concurrency: int | None, limit: int | None) -> int:
    """See it work, with nothing to set up.

    Starts a worker on an SQLite file of its own and measures every file of Python's standard library: a task each,
    joined by a chord. One more task fails twice and is retried; one fails for good. The exit code is 0 only if the
    totals are those computed without the queue.
    """
    from tq_core.demo.run import run

    signal.signal(signal.SIGTERM, _end)
    output = invocation.output
    report = run(output, concurrency=concurrency, limit=limit)
    if output.as_json:
        output.record(_as_json(report))
    else:
        _tell(report, invocation)
    if report.agrees:
        return ExitCode.OK
    click.echo(f"Error: the totals should be {report.expected}", err=True)
    return ExitCode.FAILURE


def _end(signum: int, frame: FrameType | None) -> None:
    """End as an exception does, so that the worker is stopped and the files are deleted."""
    sys.exit(128 + signum)


def _as_json(report: Report) -> dict[str, object]:
    return {
        **report.totals,
        "tasks": report.tasks,
        "seconds": round(report.seconds, 3),
        "tasks_per_second": round(report.rate, 1),
        "first_result_seconds": round(report.first_result, 3),
        "retried": report.retried,
        "failed": {"state": report.failed.state, "traceback": report.failed.traceback},
        "agrees": report.agrees,
    }


def _tell(report: Report, invocation: Invocation) -> None:
    totals = report.totals
    click.echo(f"The flaky task {report.retried}.")
    click.echo("The hopeless task failed, and this is its traceback:\n")
    click.echo("\n".join("    " + line for line in (report.failed.traceback or "").rstrip().splitlines()) + "\n")
    rows = [
        {"what": "files", "value": f"{totals['files']:,}"},
        {"what": "lines", "value": f"{totals['lines']:,}"},
        {"what": "bytes", "value": f"{totals['bytes']:,}"},
        {"what": "slowest file", "value": f"{totals['slowest']} ({totals['slowest_seconds'] * 1000:.1f} ms)"},
        {"what": "first result", "value": f"after {report.first_result:.2f} s"},
        {"what": "tasks", "value": f"{report.tasks:,} in {report.seconds:.2f} s"},
        {"what": "tasks per second", "value": f"{report.rate:,.0f}"},
        {"what": "computed directly", "value": "the same" if report.agrees else "SOMETHING ELSE"},
    ]
    invocation.output.rows(rows, {"what": "standard library", "value": "found by the queue"})
