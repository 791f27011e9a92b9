"""``tq result``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tq_core import states
from tq_core.cli.exit_codes import ExitCode
from tq_core.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.cli.output import Output
    from tq_core.contracts.backend import ResultRecord


@click.command()
@click.argument("task_id")
@click.option("-t", "--task", metavar="NAME", help="Accepted for compatibility.")
@click.option("--traceback", is_flag=True, help="Show the traceback of a failure instead of its error.")
@click.option("--wait", type=float, metavar="SECONDS", help="Wait so long for the task to end.")
@pass_invocation
def result(invocation: Invocation, task_id: str, task: str | None, traceback: bool, wait: float | None) -> int:
    """Print the result of the task TASK_ID, or its state while it has none.

    The exit code is 1 when the task failed, and 7 when it did not end in the time of --wait.
    """
    app = invocation.app
    record = wait_for(app, task_id, wait) if wait is not None else app.backend.fetch([task_id]).get(task_id)
    return show(invocation.output, record, task_id, traceback=traceback)


def wait_for(app: Celery, task_id: str, timeout: float) -> ResultRecord:
    """Return a task's record once it is ready.

    Args:
        app: whose backend is asked.
        task_id: the task.
        timeout: seconds.

    Raises:
        TimeoutError: it is not ready in time.
    """
    from tq_core.errors import TimeoutError

    try:
        for record in app.backend.watch([task_id], timeout=timeout):
            return record
    except TimeoutError:
        pass
    raise TimeoutError(
        f"Task {task_id} has no result after {timeout:g} seconds; does a worker run that receives from its queue? "
        "(tq doctor looks for causes)"
    )


def show(output: Output, record: ResultRecord | None, task_id: str, *, traceback: bool) -> int:
    """Write what is known about a task, and return the exit code."""
    state = record.state if record is not None else states.PENDING
    value: Any = record.result if record is not None else None
    failed = state in states.PROPAGATE_STATES
    shown = {"id": task_id, "state": state, "result": value}
    if record is not None:
        shown |= {"traceback": record.traceback, "date_done": record.date_done, **record.extended}
    if output.as_json:
        output.record(shown)
    elif failed and traceback and record is not None and record.traceback:
        output.record({}, plain=record.traceback.rstrip())
    elif failed:
        output.record({}, plain=f"{state}: {_error(value)}")
    elif state == states.SUCCESS:
        output.record({}, plain=value if isinstance(value, str) else repr(value))
    else:
        output.record({}, plain=state)
        if state == states.PENDING:
            output.note("PENDING means waiting, or unknown: an id that was never sent looks the same.")
    return ExitCode.FAILURE if failed else ExitCode.OK


def _error(value: Any) -> str:
    """Write an error as its class and its message, whether it is an exception or the mapping that stands for one."""
    if isinstance(value, dict) and "exc_type" in value:
        message = value.get("exc_message")
        if isinstance(message, (list, tuple)):
            message = ", ".join(str(part) for part in message)
        return f"{value['exc_type']}: {message}"
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
