"""``tq``: the root command.

A command's module is imported when the command is used, so that ``tq --help`` costs nothing but click.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tq_core.cli.invocation import Invocation, global_options

if TYPE_CHECKING:
    from tq_core.app import Celery

#: Module, attribute and one sentence of each command, in the order in which help shows them.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "worker": ("tq_core.cli.worker", "worker", "Run a worker: receive tasks and run them."),
    "call": ("tq_core.cli.call", "call", "Send a task by its name."),
    "result": ("tq_core.cli.result", "result", "Show what became of a task."),
    "queue": ("tq_core.cli.queue", "queue", "Look at queues, empty, pause and resume them."),
    "purge": ("tq_core.cli.queue", "purge", "Drop all waiting messages (as `tq queue purge`)."),
    "dead": ("tq_core.cli.dead", "dead", "Look at dead letters, send them again or drop them."),
    "config": ("tq_core.cli.config", "config", "Check, show and compare configurations."),
    "plugins": ("tq_core.cli.plugins", "plugins", "List, check, test and write plugins."),
    "doctor": ("tq_core.cli.doctor", "doctor", "Find out why something does not work."),
    "demo": ("tq_core.cli.demo", "demo", "See it work, with nothing to set up."),
    "completion": ("tq_core.cli.completion", "completion", "Print the shell's completion script."),
}


class Root(click.Group):
    """The command ``tq``; gives every command the global options, too."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands of the core, in their order, then those of plugins."""
        return [*COMMANDS, *sorted(set(_plugin_commands()) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name in COMMANDS:
            module, attribute, _ = COMMANDS[cmd_name]
            command: click.Command = getattr(importlib.import_module(module), attribute)
        else:
            plugin_command = _plugin_commands().get(cmd_name)
            if plugin_command is None:
                return None
            command = plugin_command
        add_global_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names, or say which is nearest."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else " Commands are listed by: tq --help"
            raise click.UsageError(f"There is no command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands into the help without importing them."""
        rows = [(name, sentence) for name, (_, _, sentence) in COMMANDS.items()]
        plugin_commands = _plugin_commands()
        rows += [(n, c.get_short_help_str()) for n, c in sorted(plugin_commands.items()) if n not in COMMANDS]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def add_global_options(command: click.Command) -> None:
    """Let a command, and the commands below it, take the global options after its name as well.

    An option that the command itself defines stays the command's.
    """
    taken = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    for option in global_options():
        if taken.isdisjoint(option.opts):
            option.hidden = "--json" not in option.opts
            command.params.append(option)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            add_global_options(below)


def _plugin_commands() -> dict[str, click.Command]:
    """Return what plugins contribute; a plugin that cannot be loaded takes no command away."""
    from importlib.metadata import entry_points

    from tq_core.errors import TQError

    groups = ("tq.cli_commands", "tq.extensions", "celery.commands")
    installed = entry_points()  # one look at all distributions instead of one for each group
    if not any(installed.select(group=group) for group in groups):
        return {}
    from tq_core.plugin.manager import PluginManager

    try:
        return dict(PluginManager().cli_commands())
    except TQError as error:
        click.echo(f"Plugins could not be asked for commands: {error}", err=True)
        return {}


@click.group(
    cls=Root,
    name="tq",
    params=list(global_options()),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The global options may also follow the command. Exit codes: docs/reference/cli.md.",
)
def tq() -> None:
    """A distributed task queue."""


def run(arguments: Sequence[str], app: Celery | None = None) -> int:
    """Run a command line and return its exit code. Errors are told on standard error, in one line each.

    Args:
        arguments: without the program's name.
        app: the application to use, instead of looking for one.
    """
    from tq_core.cli.exit_codes import ExitCode, code_for
    from tq_core.config.mistake import ConfigurationInvalid
    from tq_core.errors import TQError

    try:
        answer = tq.main(list(arguments), prog_name="tq", standalone_mode=False, obj=Invocation(app, arguments))
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _fail("Interrupted.", ExitCode.INTERRUPTED)
    except click.UsageError as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            click.echo(error.format_message(), err=True)
            return int(ExitCode.USAGE)
        return _fail(_usage_text(error), ExitCode.USAGE)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except ConfigurationInvalid as error:
        # Each line begins with file:line:column, where editors look for it.
        click.echo(str(error), err=True)
        return int(ExitCode.CONFIGURATION)
    except TQError as error:
        return _fail(str(error), code_for(error))
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is left must not complain at exit.
        sys.stdout = None  # the interpreter then flushes nothing
        return ExitCode.FAILURE
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), ExitCode.FAILURE)
    return answer if isinstance(answer, int) else ExitCode.OK


def _usage_text(error: click.UsageError) -> str:
    from tq_core.cli.application import ApplicationNotFound

    text = " ".join(error.format_message().split())
    if isinstance(error, ApplicationNotFound):
        return text
    where = error.ctx.command_path if error.ctx is not None else "tq"
    return f"{where}: {text} (see {where} --help)"


def _fail(text: str, code: int) -> int:
    click.echo(f"Error: {text}", err=True)
    return int(code)


def run_for_app(app: Celery, arguments: Sequence[str]) -> None:
    """Run a command line for an application that the program has, and end the program unless all went well.

    Raises:
        SystemExit: with the command's exit code, when it is not 0.
    """
    code = run(arguments, app)
    if code:
        sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run ``tq`` and exit; the entry point of the console script."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    main()
