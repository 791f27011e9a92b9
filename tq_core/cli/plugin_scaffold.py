"""``tq plugins new``: the skeleton of a plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tq_core.cli.invocation import Invocation, output_of

if TYPE_CHECKING:
    from tq_core.plugin.manager import PluginManager

KINDS = ("broker", "backend", "serializer", "pool", "schedule_store")


@click.command("new")
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(KINDS), help="What it is to be.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where to; ./tq-NAME unless given. Must be empty, or not exist.",
)
@click.pass_context
def new_plugin(context: click.Context, name: str, kind: str, directory: Path | None) -> None:
    """Write a small package that installs, is found under NAME, and passes its own conformance test.

    NAME is what settings will call it, like the scheme of a URL; the distribution is called tq-NAME. The skeleton
    works in memory, and comments say what to replace.
    """
    from tq_core.errors import ImproperlyConfigured
    from tq_core.plugin.scaffold import distribution_of, write_skeleton

    manager: PluginManager = context.obj
    root = context.find_root().obj
    if isinstance(root, Invocation):
        root.enter_workdir()
    target = directory or Path(distribution_of(name))
    try:
        written = write_skeleton(kind, name, target, manager.catalogue)
    except ImproperlyConfigured as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or target}: {error.strerror or error}") from error
    files = [str(path) for path in written]
    output = output_of(context)
    output.record({"files": files}, plain="\n".join(files))
    output.note(f"Next: pip install -e '{target}[test]' && pytest {target}")
