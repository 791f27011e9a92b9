"""One run of ``tq``: its global options, and the application they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tq_core.cli.output import Output

if TYPE_CHECKING:
    from tq_core.app import Celery

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

#: Says in ``tq config show --origin`` and in errors where a value came from.
ORIGIN = "command line"


class Invocation:
    """What is known about this run of the program. Global options may come before and after the command.

    Args:
        app: the application, where the program has it already.
        arguments: the whole command line, without the program's name.

    Attributes:
        options: global options by name, those given last winning.
        arguments: as given.
        app_is_given: nothing was or will be looked for.
        app_path: ``module:attribute`` of the application once found; None for the default one.
    """

    def __init__(self, app: Celery | None = None, arguments: Sequence[str] = ()) -> None:
        self.arguments = tuple(arguments)
        self.app_is_given = app is not None
        self.options: dict[str, Any] = {}
        self.app_path: str | None = None
        self._app = app
        self._configured = False

    @property
    def output(self) -> Output:
        """Where the command writes."""
        options = self.options
        return Output(
            as_json=bool(options.get("json")), quiet=bool(options.get("quiet")), color=not options.get("no_color")
        )

    def enter_workdir(self) -> None:
        """Change to ``--workdir``, once."""
        workdir = self.options.pop("workdir", None)
        if workdir:
            try:
                os.chdir(workdir)
            except OSError as error:
                raise click.UsageError(f"--workdir {workdir}: {error.strerror}") from error

    @property
    def app(self) -> Celery:
        """The application of ``-A``, or one configured by the ``celeryconfig`` in the working directory.

        Raises:
            ApplicationNotFound: it cannot be imported.
            ImproperlyConfigured: its settings have mistakes.
        """
        if self._app is None:
            self.enter_workdir()
            self._app = self._find()
        if not self._configured:
            self._configured = True
            self._apply_options(self._app)
        return self._app

    def _find(self) -> Celery:
        from tq_core.app import Celery

        name = self.options.get("app") or os.environ.get("CELERY_APP")
        if name:
            from tq_core.cli.application import find_app

            app, self.app_path = find_app(name)
            app.set_default()
            app.set_current()
            if self.options.get("config"):
                app.config_from_file(self.options["config"])
            return app
        app = Celery("default")
        app.set_default()
        app.config_from_file(self.options.get("config"))
        return app

    def _apply_options(self, app: Celery) -> None:
        given = {
            "broker_url": self.options.get("broker"),
            "result_backend": self.options.get("result_backend"),
        }
        self.set_settings(app, {name: value for name, value in given.items() if value})

    def set_settings(self, app: Celery, values: dict[str, Any]) -> None:
        """Set settings as the command line gives them, over every other source."""
        from tq_core.config.settings import Level

        if values:
            app.conf.layer(values, ORIGIN, Level.COMMAND_LINE)
            app.adopt_settings(app.conf)

    def connect_broker(self) -> Any:
        """Return the broker, sure to answer.

        Raises:
            BrokerUnavailable: it does not within the seconds of ``broker_connection_timeout``, 4 at most.
        """
        app = self.app
        broker = app.broker
        broker.connect(min(float(app.conf.broker_connection_timeout or 4.0), 4.0))
        return broker


def output_of(context: click.Context) -> Output:
    """Return where a command writes that may also run without ``tq`` above it."""
    root = context.find_root().obj
    return root.output if isinstance(root, Invocation) else Output()


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    if value is not None and param.name is not None:
        invocation = ctx.find_root().obj
        if isinstance(invocation, Invocation):
            invocation.options[param.name] = value
    return value


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from tq_core.worker.banner import installed_version

        click.echo(f"tq {installed_version()}")
        ctx.exit()


def global_options() -> list[click.Option]:
    """Return fresh copies of the options every command takes, all without effect on its function's arguments."""

    def option(*names: str, **attributes: Any) -> click.Option:
        if attributes.pop("is_flag", False):
            attributes |= {"is_flag": True, "flag_value": True, "type": click.BOOL, "default": None}
        return click.Option(names, expose_value=False, callback=_remember, **attributes)

    return [
        option("-A", "--app", metavar="APP", help="Application: module, module:attribute or module.attribute."),
        option("-b", "--broker", metavar="URL", help="Broker to use instead of the configured one."),
        option("--result-backend", metavar="URL", help="Result backend to use instead of the configured one."),
        option("--loader", metavar="CLASS", help="Accepted for compatibility."),
        option("--config", metavar="FILE", help="Settings: a YAML or Python file, or a module."),
        option("--workdir", metavar="DIR", type=click.Path(path_type=Path), help="Directory to change to first."),
        option("-C", "--no-color", is_flag=True, help="Write no colours."),
        option("-q", "--quiet", is_flag=True, help="Write only data and errors."),
        option("--json", is_flag=True, help="Write data as JSON."),
        option("--skip-checks", is_flag=True, help="Accepted for compatibility."),
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_print_version,
            help="Print the version and exit.",
        ),
    ]


def pass_invocation(function: Decorated) -> Decorated:
    """Give a command's function the :class:`Invocation` as its first argument."""
    return click.make_pass_decorator(Invocation)(function)  # type: ignore[return-value]  # click keeps the signature loosely
