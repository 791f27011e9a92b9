"""``tq doctor``: why something does not work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from tq_core.cli.exit_codes import ExitCode
from tq_core.cli.findings import PROBLEM, SIGNS, Finding, good, problem, skipped
from tq_core.cli.invocation import Invocation, pass_invocation
from tq_core.errors import TQError

if TYPE_CHECKING:
    from tq_core.app import Celery


@click.command()
@pass_invocation
def doctor(invocation: Invocation) -> int:
    """Find out why something does not work, such as a result that stays PENDING.

    Changes nothing. The exit code is 5 when something needs attention.
    """
    findings = list(_examine(invocation))
    output = invocation.output
    if output.as_json:
        output.rows([finding.as_mapping() for finding in findings], {})
    else:
        for finding in findings:
            click.echo(f"{SIGNS[finding.state]} {finding.check}: {finding.sentence}")
            if finding.advice:
                click.echo(f"     {finding.advice}")
    found = sum(finding.state == PROBLEM for finding in findings)
    if found:
        output.note(f"{found} of {len(findings)} checks found something.")
    return ExitCode.FINDINGS if found else ExitCode.OK


def _examine(invocation: Invocation) -> Iterator[Finding]:
    from tq_core.cli import queue_checks, result_checks
    from tq_core.cli.application import ApplicationNotFound

    yield _platform()
    try:
        app = invocation.app
    except ApplicationNotFound as error:
        yield problem("application", str(error), "Say where the application is with -A, or change --workdir.")
        return
    except TQError as error:
        yield problem("configuration", str(error), "Mend the settings named; `tq config check` shows them all.")
        return
    yield good("application", f"{invocation.app_path or 'the default one'} ({app.main})")
    yield from _configuration(app)
    yield from _plugins(app)
    broker = _broker(app)
    yield broker
    yield _backend(app)
    yield from _tasks(app)
    yield from result_checks.examine(app)
    if broker.state != PROBLEM:
        yield from queue_checks.examine(app)
    yield from _health(app)


def _platform() -> Finding:
    import platform

    from tq_core.worker.banner import installed_version

    text = f"tq {installed_version()}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    return good("platform", text)


def _configuration(app: Celery) -> Iterator[Finding]:
    changed = len(app.conf.changes())
    yield good("configuration", f"{changed} settings differ from their defaults (tq config show --changed --origin)")
    accepted = {app.serializers.get(name).content_type for name in (app.conf.accept_content or ())}
    written = app.serializers.get(app.conf.task_serializer).content_type
    if written not in accepted:
        yield problem(
            "content types",
            f"tasks are written as {written}, which accept_content does not allow, so workers refuse them",
            f"Add {app.conf.task_serializer!r} to accept_content of the workers.",
        )


def _plugins(app: Celery) -> Iterator[Finding]:
    from tq_core.plugin.survey import FAILURES, survey

    statuses = survey(app.plugins)
    failing = [status for status in statuses if status.state in FAILURES]
    for status in failing:
        yield problem(
            "plugins",
            f"{status.kind} {status.name!r} of {status.distribution} is {status.state}: {status.problem}",
            f"tq plugins show {status.name}",
        )
    if not failing:
        yield good("plugins", f"{len(statuses)} names offered, all usable")


def _broker(app: Celery) -> Finding:
    try:
        broker = app.broker
        broker.connect(min(float(app.conf.broker_connection_timeout or 4.0), 4.0))
    except (TQError, OSError) as error:
        return problem("broker", str(error), "Start the server, or correct broker_url.")
    if not broker.capabilities.shared:
        return problem(
            "broker",
            f"{app.broker_address} is seen by one process only: no worker elsewhere receives what is sent",
            "Use it in tests only; without broker_url tasks are kept in an SQLite file that processes share.",
        )
    return good("broker", f"{app.broker_address} answers")


def _backend(app: Celery) -> Finding:
    try:
        backend = app.backend
        backend.connect(4.0)
    except (TQError, OSError) as error:
        return problem("result backend", str(error), "Start the server, or correct result_backend.")
    if not backend.capabilities.stores:
        return problem(
            "result backend",
            "no results are kept, so every task stays PENDING",
            "Set result_backend, or call get() on no result.",
        )
    if not backend.capabilities.shared and not backend.capabilities.replies:
        return problem(
            "result backend",
            f"{app.backend_address} is seen by one process only, so results of workers stay PENDING elsewhere",
            "Name a result_backend that processes share.",
        )
    return good("result backend", f"{app.backend_address} answers")


def _tasks(app: Celery) -> Iterator[Finding]:
    from tq_core.cli.application import describe_import_error

    try:
        app.finalize()
        app.import_task_modules()
    except Exception as error:  # importing runs the user's code, which may raise anything
        yield problem("tasks", f"importing them failed: {describe_import_error(error)}", "Mend that module.")
        return
    names = [name for name in app.tasks if not name.startswith("celery.")]
    if names:
        yield good("tasks", f"{len(names)} registered")
    else:
        yield skipped("tasks", "none is registered here; -A names the application, `imports` and `include` its modules")


def _health(app: Celery) -> Iterable[Finding]:
    for implementation in app.plugins.hook.tq_health_checks.get_hookimpls():
        name = implementation.plugin_name
        try:
            answers: Any = implementation.function(app.conf.with_defaults())
        except Exception as error:  # a plugin's own check may raise anything, and that is a finding
            yield problem(name, f"its health check failed: {type(error).__name__}: {error}", f"tq plugins show {name}")
            continue
        for check, sentence in answers.items():
            yield good(check, "as it should be") if sentence is None else problem(check, sentence)
