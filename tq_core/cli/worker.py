"""``tq worker``."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click

from tq_core.cli.invocation import Invocation, pass_invocation
from tq_core.cli.worker_options import AUTOSCALE, CONCURRENCY, LOG_LEVEL, NAMES, Names

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.worker.options import WorkerOptions


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_work = _options(
    click.option("-n", "--hostname", metavar="NAME", help="Node name; %h host, %n name, %d domain. [celery@%h]"),
    click.option("-l", "--loglevel", type=LOG_LEVEL, default="WARNING", help="DEBUG, INFO … or a number. [WARNING]"),
    click.option("-P", "--pool", metavar="POOL", help="prefork, threads, aio, solo, or a plugin's. [worker_pool]"),
    click.option("-c", "--concurrency", type=CONCURRENCY, help="Tasks at a time; auto: the processors (aio: 100)."),
    click.option("--processes", type=click.IntRange(1), help="Runner processes, each with all of --concurrency."),
    click.option("--autoscale", type=AUTOSCALE, help="Most and fewest runners."),
    click.option("--pool-start-method", type=click.Choice(["fork", "forkserver", "spawn"]), help="Of runners."),
    click.option("-Q", "--queues", type=NAMES, default="", help="Receive from these only."),
    click.option("-X", "--exclude-queues", type=NAMES, default="", help="Receive from all but these."),
    click.option("-I", "--include", type=NAMES, default="", help="Further modules to import."),
    click.option("--purge", "--discard", is_flag=True, help="Drop all waiting messages first."),
    click.option("-E", "--task-events/--no-task-events", default=None, help="Send task events; not yet."),
    click.option("--watch", is_flag=True, help="Start anew when a source file changes."),
)
_limits = _options(
    click.option("--time-limit", type=float, metavar="SECONDS", help="Stop tasks that run longer."),
    click.option("--soft-time-limit", type=float, metavar="SECONDS", help="Interrupt tasks that run longer."),
    click.option("--max-tasks-per-child", type=click.IntRange(0), help="Replace a runner after so many tasks."),
    click.option("--max-memory-per-child", type=click.IntRange(0), metavar="KIB", help="Replace a larger runner."),
    click.option("--prefetch-multiplier", type=click.IntRange(0), help="Messages held for each slot."),
    click.option("--disable-prefetch", is_flag=True, default=None, help="Hold no message that does not run yet."),
)
_files = _options(
    click.option("-f", "--logfile", metavar="FILE", help="Log there instead of to standard error."),
    click.option("--pidfile", metavar="FILE", help="Refuse to start while another process holds this file."),
    click.option("-S", "--statedb", metavar="FILE", help="Keep what was revoked in this file."),
    click.option("-D", "--detach", is_flag=True, help="Run in the background."),
    click.option("--uid", metavar="USER", help="Run as this user."),
    click.option("--gid", metavar="GROUP", help="Run as this group."),
    click.option("--umask", metavar="OCTAL", help="Of the process."),
    click.option("--executable", metavar="FILE", help="Accepted for compatibility."),
)
_celery = _options(
    click.option("-O", "--optimization", type=click.Choice(["default", "fair"]), help="Scheduling is always fair."),
    click.option("--without-gossip", is_flag=True, help="Accepted for compatibility."),
    click.option("--without-mingle", is_flag=True, help="Accepted for compatibility."),
    click.option("--without-heartbeat", is_flag=True, help="Accepted for compatibility."),
    click.option("--heartbeat-interval", type=float, metavar="SECONDS", help="Accepted for compatibility."),
    click.option("-B", "--beat", is_flag=True, help="Run the periodic task scheduler, too; not yet."),
    click.option("-s", "--schedule-filename", "--schedule", metavar="FILE", help="State of the scheduler; not yet."),
    click.option("--scheduler", metavar="CLASS", help="Of the scheduler; not yet."),
)


@click.command()
@_work
@_limits
@_files
@_celery
@pass_invocation
def worker(invocation: Invocation, **given: Any) -> int:
    """Run a worker: receive tasks and run them.

    SIGTERM or Ctrl-C: finish what runs, then end. A second time, or SIGQUIT: end at once.
    """
    if given["watch"]:
        return _watch(invocation)
    # Next to nothing of what a starting program makes is garbage; looking for it would take a tenth of the time. The
    # worker turns the collector on again before it forks.
    gc.disable()
    try:
        return _start(invocation, given)
    finally:
        gc.enable()


#: Options of Celery's worker whose features are still to come, with their parameters' names.
_NOT_YET = {
    "-E": "task_events",
    "-B": "beat",
    "-s": "schedule_filename",
    "--scheduler": "scheduler",
}


def _start(invocation: Invocation, given: dict[str, Any]) -> int:
    invocation.enter_workdir()
    if given["detach"] and given["logfile"]:
        given["logfile"] = os.path.abspath(given["logfile"])
    _check_writable(given)
    from tq_core.cli.daemon import become

    app = invocation.app
    invocation.set_settings(app, _settings(app, given))
    _check(app, given)
    for option, name in _NOT_YET.items():
        if given[name]:
            invocation.output.note(f"Note: {option} has no effect yet.")
    pidfile = None
    if given["pidfile"]:
        from tq_core.cli.pidfile import PidFile

        # Taken before the terminal is left, so that a refusal is seen.
        pidfile = PidFile(os.path.abspath(given["pidfile"]))
        pidfile.acquire()
    if given["detach"]:
        from tq_core.cli.daemon import detach

        detach(given["logfile"])
        if pidfile is not None:
            pidfile.hand_over()
    try:
        become(given["uid"], given["gid"], given["umask"])
        return _run(invocation, app, given)
    finally:
        if pidfile is not None:
            pidfile.release()


def _watch(invocation: Invocation) -> int:
    from tq_core.cli.watching import WatchedWorker, without_watch

    if invocation.app_is_given:
        raise click.UsageError("--watch starts a new process, which finds the application by -A only")
    directory = invocation.options.get("workdir") or "."
    return WatchedWorker(without_watch(invocation.arguments), directory, quiet=invocation.output.quiet).run()


def _check_writable(given: Mapping[str, Any]) -> None:
    """Name the option whose file cannot be written, before anything has begun."""
    for option in ("logfile", "statedb"):
        path = given[option]
        if path is None:
            continue
        try:
            with open(path, "ab"):
                pass
        except OSError as error:
            raise click.ClickException(f"--{option} {path}: {error.strerror}") from error


def _settings(app: Celery, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that options stand for."""
    values = {
        "worker_pool": given["pool"],
        "worker_state_db": given["statedb"],
        "task_time_limit": given["time_limit"],
        "task_soft_time_limit": given["soft_time_limit"],
        "worker_send_task_events": given["task_events"],
        "worker_disable_prefetch": given["disable_prefetch"],
        "worker_concurrency": given["concurrency"],
        "worker_pool_start_method": given["pool_start_method"],
    }
    if given["include"]:
        already = app.conf.include or ()
        values["include"] = (*((already,) if isinstance(already, str) else already), *given["include"])
    return {name: value for name, value in values.items() if value is not None}


def _check(app: Celery, given: Mapping[str, Any]) -> None:
    """Refuse what would fail later, naming the option.

    Raises:
        click.UsageError: a name that an option gives is not known.
        ImproperlyConfigured: a name that the settings give is not known.
    """
    from tq_core.errors import ImproperlyConfigured, PluginNotFound

    try:
        app.plugins.pool_class(app.conf.worker_pool)
    except PluginNotFound as error:
        if given["pool"] is None:
            raise
        raise click.UsageError(f"-P {given['pool']}: {error}") from error
    try:
        app.queues.consumed(given["queues"], given["exclude_queues"])
    except ImproperlyConfigured as error:
        raise click.UsageError(f"-Q/-X: {error}") from error


def _import_tasks(app: Celery) -> None:
    """Import what the worker is to run.

    Raises:
        click.ClickException: a module cannot be imported; one line.
    """
    try:
        app.finalize()
        app.import_task_modules()
    except Exception as error:  # importing runs the user's code, which may raise anything
        from tq_core.cli.application import describe_import_error

        raise click.ClickException(f"The task modules cannot be imported: {describe_import_error(error)}") from error


def _run(invocation: Invocation, app: Celery, given: Mapping[str, Any]) -> int:
    from tq_core import log, signals
    from tq_core.runner.entry import AppReference
    from tq_core.worker.options import node_name
    from tq_core.worker.worker import Worker

    options = worker_options(given, quiet=invocation.output.quiet)
    hostname = node_name(options.hostname)
    colorize = False if invocation.options.get("no_color") else None
    logging_options = {"loglevel": options.loglevel, "logfile": options.logfile, "colorize": colorize}
    if signals.celeryd_init.receivers:
        # The worker is made from the settings, which receivers may change: as in Celery it is but a name yet.
        unmade = SimpleNamespace(app=app, hostname=hostname)
        signals.celeryd_init.send(hostname, instance=unmade, conf=app.conf, options=dict(given))
        app.adopt_settings(app.conf)
    try:
        log.setup(app, options.loglevel, options.logfile, colorize=colorize)
    except OSError as error:
        raise click.ClickException(f"--logfile {options.logfile}: {error.strerror}") from error
    try:
        _import_tasks(app)
    except click.ClickException as error:
        if options.logfile:
            logging.getLogger("tq.worker").error(error.message)
        # Whoever started the worker is to see the reason, whatever the log is.
        log.restore_stdouts()
        raise
    reference = None
    if invocation.app_path is not None:
        reference = AppReference(invocation.app_path, os.getcwd(), app.conf, logging_options)
    try:
        made = Worker(app, options, reference=reference)
        if signals.celeryd_after_setup.receivers:
            signals.celeryd_after_setup.send(made.hostname, instance=made, conf=app.conf)
        return made.start()
    except PermissionError as error:
        if "/shm" not in str(error.filename):
            raise
        raise click.ClickException(
            f"Shared memory cannot be used: {error}. /dev/shm must be writable for this user "
            "(chmod 1777 /dev/shm; on some systems it is a link to /run/shm)"
        ) from error


def worker_options(given: Mapping[str, Any], *, quiet: bool = False) -> WorkerOptions:
    """Return what the command line tells the worker.

    Args:
        given: values of the command's options by name.
        quiet: no banner.
    """
    from tq_core.worker.options import WorkerOptions

    concurrency = given["concurrency"]
    queues: Names = given["queues"]
    return WorkerOptions(
        hostname=given["hostname"],
        pool=given["pool"],
        concurrency=None if concurrency == "auto" else concurrency,
        processes=given["processes"],
        queues=queues,
        exclude_queues=given["exclude_queues"],
        prefetch_multiplier=given["prefetch_multiplier"],
        max_tasks_per_child=given["max_tasks_per_child"],
        max_memory_per_child=given["max_memory_per_child"],
        time_limit=given["time_limit"],
        soft_time_limit=given["soft_time_limit"],
        start_method=given["pool_start_method"],
        autoscale=given["autoscale"],
        task_events=given["task_events"],
        purge=given["purge"],
        loglevel=given["loglevel"],
        logfile=given["logfile"],
        quiet=quiet,
    )
