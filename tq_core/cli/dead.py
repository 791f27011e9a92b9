"""``tq dead``: messages that no worker could bring to an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tq_core.cli.exit_codes import ExitCode
from tq_core.cli.invocation import Invocation, pass_invocation
from tq_core.cli.messages import described, moment

if TYPE_CHECKING:
    from tq_core.contracts.broker import Broker, DeadLetter

#: More than anybody keeps; stands for "all" where the contract wants a number.
_ALL = 1_000_000


@click.group()
def dead() -> None:
    """Look at dead letters, send them again or drop them."""


@dead.command("list")
@click.option("--queue", metavar="NAME", help="Of this queue only.")
@click.option("-n", "--limit", type=click.IntRange(1), default=100, show_default=True, help="Letters at most.")
@pass_invocation
def list_letters(invocation: Invocation, queue: str | None, limit: int) -> None:
    """List the dead letters, newest first."""
    letters = invocation.connect_broker().dead_letters(queue=queue, limit=limit)
    columns = {"letter": "letter", "queue": "queue", "buried": "buried", "task": "task", "id": "id", "reason": "reason"}
    invocation.output.rows([_row(letter) for letter in letters], columns, empty="There are no dead letters.")


@dead.command()
@click.argument("letter")
@pass_invocation
def show(invocation: Invocation, letter: str) -> int:
    """Show the dead letter LETTER (its number, or the id of its task) with the traceback behind it."""
    found = _find(invocation.connect_broker(), letter)
    shown = _row(found) | {"deliveries": found.delivery_count, "traceback": found.traceback}
    if found.message is not None:
        shown["headers"] = dict(found.message.headers)
        shown["body"] = found.message.body.decode("utf-8", "backslashreplace")
    else:
        shown["raw"] = found.raw.decode("utf-8", "backslashreplace")
    invocation.output.record(shown)
    return ExitCode.OK


@dead.command()
@click.argument("letters", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--queue", metavar="NAME", help="With --all: of this queue only.")
@pass_invocation
def replay(invocation: Invocation, letters: tuple[str, ...], everything: bool, queue: str | None) -> int:
    """Put LETTERS back into their queues, as if they had not been delivered before."""
    broker = invocation.connect_broker()
    count = broker.exhume(_chosen(broker, letters, everything, queue))
    invocation.output.record({"replayed": count}, plain=f"{count} put back")
    return ExitCode.OK


@dead.command()
@click.argument("letters", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--queue", metavar="NAME", help="With --all: of this queue only.")
@click.option("-f", "--force", "--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def drop(invocation: Invocation, letters: tuple[str, ...], everything: bool, queue: str | None, force: bool) -> int:
    """Delete LETTERS for good."""
    broker = invocation.connect_broker()
    chosen = _chosen(broker, letters, everything, queue)
    if not force:
        click.confirm(f"Delete {len(chosen)} dead letters? They cannot be brought back.", abort=True, err=True)
    count = broker.drop_dead(chosen)
    invocation.output.record({"dropped": count}, plain=f"{count} deleted")
    return ExitCode.OK


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "letter": letter.letter_id,
        "queue": letter.queue,
        "buried": moment(letter.buried_at),
        "reason": letter.reason,
        **described(letter.message),
    }


def _find(broker: Broker, name: str) -> DeadLetter:
    found = broker.dead_letter(name)
    if found is None:
        of_task = (x for x in broker.dead_letters(limit=_ALL) if x.message is not None and x.message.id == name)
        found = next(of_task, None)
    if found is None:
        raise click.ClickException(f"There is no dead letter {name!r} (tq dead list shows them)")
    return found


def _chosen(broker: Broker, letters: tuple[str, ...], everything: bool, queue: str | None) -> list[str]:
    if everything == bool(letters):
        raise click.UsageError("Name the letters, or say --all")
    if queue is not None and not everything:
        raise click.UsageError("--queue goes with --all")
    if everything:
        return [letter.letter_id for letter in broker.dead_letters(queue=queue, limit=_ALL)]
    return [_find(broker, name).letter_id for name in letters]
