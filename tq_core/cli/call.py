"""``tq call``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from tq_core.cli.exit_codes import ExitCode
from tq_core.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from datetime import datetime


class JsonText(click.ParamType):  # type: ignore[type-arg]  # generic only in newer click
    """JSON of one kind."""

    def __init__(self, kind: type, example: str) -> None:
        self.name = "json"
        self._kind = kind
        self._example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what the JSON stands for."""
        if isinstance(value, self._kind):
            return value
        try:
            found = json.loads(value)
        except ValueError as error:
            self.fail(f"{value!r} is no JSON: {error}", param, ctx)
        if not isinstance(found, self._kind):
            self.fail(f"{value!r}: something like {self._example} is expected", param, ctx)
        return found


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic only in newer click
    """A time in ISO 8601."""

    name = "iso-8601"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time."""
        from tq_core.timeutil import parse_iso

        try:
            return parse_iso(value)
        except (ValueError, TypeError):
            self.fail(f"{value!r} is no time; something like 2030-01-31T12:00:00+00:00 is expected", param, ctx)


class SecondsOrMoment(Moment):
    """Seconds from now, or a time in ISO 8601."""

    name = "seconds|iso-8601"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a number of seconds, or the time."""
        try:
            return float(value)
        except ValueError:
            return super().convert(value, param, ctx)


@click.command()
@click.argument("name")
@click.option("-a", "--args", type=JsonText(list, "'[1, 2]'"), help="Positional arguments.")
@click.option("-k", "--kwargs", type=JsonText(dict, """'{"x": 1}'"""), help="Keyword arguments.")
@click.option("--eta", type=Moment(), help="Not before this time.")
@click.option("--countdown", type=float, metavar="SECONDS", help="Not before so many seconds have passed.")
@click.option("--expires", type=SecondsOrMoment(), help="Not after this time.")
@click.option("--serializer", metavar="NAME", help="Of the message.")
@click.option("--queue", metavar="NAME", help="Queue to send to.")
@click.option("--exchange", metavar="NAME", help="Exchange to send to.")
@click.option("--routing-key", metavar="KEY", help="Routing key.")
@click.option("--priority", type=click.IntRange(0, 9), help="Of the message.")
@click.option("--task-id", metavar="ID", help="An id of your own.")
@click.option("--wait", type=float, metavar="SECONDS", help="Wait for the result and print it.")
@pass_invocation
def call(
    invocation: Invocation, name: str, args: Any, kwargs: Any, task_id: str | None, wait: float | None, **options: Any
) -> int:
    """Send the task NAME and print its id.

    The task need not be known here. With --wait the exit code is 1 when the task fails, and 7 when there is no
    result in time.
    """
    given = {option: value for option, value in options.items() if value is not None}
    app = invocation.app
    invocation.connect_broker()
    result = app.send_task(name, args or [], kwargs or {}, task_id=task_id, **given)
    if wait is None:
        invocation.output.record({"id": result.id, "task": name}, plain=result.id)
        return ExitCode.OK
    from tq_core.cli.result import show, wait_for

    invocation.output.note(f"Sent {name}[{result.id}]; waiting for its result")
    return show(invocation.output, wait_for(app, result.id, wait), result.id, traceback=True)
