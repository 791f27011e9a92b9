"""``tq completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

#: How each shell takes the script.
_INSTALL = {
    "bash": 'eval "$(tq completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(tq completion zsh)"    # in ~/.zshrc',
    "fish": "tq completion fish > ~/.config/fish/completions/tq.fish",
}


@click.command(epilog="\b\n" + "\n".join(_INSTALL.values()))
@click.argument("shell", type=click.Choice(list(_INSTALL)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes `tq` commands and options in SHELL."""
    kind = get_completion_class(shell)
    if kind is None:  # a shell that click itself does not know
        raise click.UsageError(f"There is no completion for {shell}")
    root = ctx.find_root().command
    click.echo(kind(root, {}, "tq", "_TQ_COMPLETE").source())
