"""``tq queue``: what waits, and whether it may go on."""

from __future__ import annotations

from typing import Any

import click

from tq_core.cli.exit_codes import ExitCode
from tq_core.cli.invocation import Invocation, pass_invocation
from tq_core.cli.messages import described


@click.group()
def queue() -> None:
    """Look at queues, empty, move, pause and resume them."""


@queue.command("list")
@pass_invocation
def list_queues(invocation: Invocation) -> None:
    """List the queues with the number of their messages."""
    broker = invocation.connect_broker()
    capabilities = broker.capabilities
    names = set(invocation.app.queues)
    if capabilities.depth:
        names |= set(broker.queues())
    paused = set(broker.paused()) if capabilities.pause else set()
    rows: list[dict[str, Any]] = []
    for name in sorted(names | paused):
        row: dict[str, Any] = {"queue": name, "paused": name in paused}
        if capabilities.depth:
            depth = broker.depth(name)
            row |= {"ready": depth.ready, "parked": depth.parked, "held": depth.held, "oldest": depth.oldest}
        rows.append(row)
    columns = {"queue": "queue"}
    if capabilities.depth:
        columns |= {"ready": "ready", "parked": "parked", "held": "held", "oldest": "oldest s"}
    if capabilities.pause:
        columns["paused"] = "paused"
    invocation.output.rows(rows, columns, empty="There are no queues.")


@queue.command()
@click.argument("name")
@click.option("-n", "--limit", type=click.IntRange(1), default=10, show_default=True, help="Messages at most.")
@pass_invocation
def peek(invocation: Invocation, name: str, limit: int) -> None:
    """Show the next messages of the queue NAME without taking them."""
    deliveries = invocation.connect_broker().peek(name, limit)
    rows = [
        {**described(delivery.message), "deliveries": delivery.delivery_count, "defect": delivery.defect}
        for delivery in deliveries
    ]
    columns = {"id": "id", "task": "task", "args": "args", "kwargs": "kwargs", "eta": "eta"}
    if any(row["defect"] for row in rows):
        columns["defect"] = "defect"
    invocation.output.rows(rows, columns, empty=f"Nothing waits in {name!r}.")


def _purge(invocation: Invocation, names: tuple[str, ...], force: bool) -> None:
    broker = invocation.connect_broker()
    chosen = list(names) or list(invocation.app.queues.consumed())
    if not force:
        question = f"Drop all waiting messages of {', '.join(chosen)}? They cannot be brought back."
        click.confirm(question, abort=True, err=True)
    rows = [{"queue": name, "purged": broker.purge(name)} for name in chosen]
    if invocation.output.as_json:
        invocation.output.rows(rows, {})
    else:
        for row in rows:
            invocation.output.record({}, plain=f"{row['purged']} messages dropped from {row['queue']}")


@queue.command("purge")
@click.argument("names", nargs=-1)
@click.option("-f", "--force", "--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def purge_queue(invocation: Invocation, names: tuple[str, ...], force: bool) -> None:
    """Drop all waiting messages of the queues NAMES, or of all configured ones."""
    _purge(invocation, names, force)


@click.command("purge")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-Q", "--queues", metavar="A,B", default="", help="These only.")
@click.option("-X", "--exclude-queues", metavar="A,B", default="", help="All but these.")
@pass_invocation
def purge(invocation: Invocation, force: bool, queues: str, exclude_queues: str) -> None:
    """Drop all waiting messages."""
    excluded = [name for name in exclude_queues.split(",") if name]
    only = [name for name in queues.split(",") if name]
    _purge(invocation, tuple(invocation.app.queues.consumed(only, excluded)), force)


@queue.command()
@click.argument("source")
@click.argument("target")
@click.option("-n", "--limit", type=click.IntRange(1), help="Messages at most; all of them otherwise.")
@pass_invocation
def move(invocation: Invocation, source: str, target: str, limit: int | None) -> None:
    """Put the waiting messages of the queue SOURCE into the queue TARGET; what is being run stays."""
    moved = invocation.connect_broker().move(source, target, limit)
    row = {"source": source, "target": target, "moved": moved}
    invocation.output.record(row, plain=f"{moved} messages moved from {source} to {target}")


@queue.command()
@click.argument("names", nargs=-1, required=True)
@pass_invocation
def pause(invocation: Invocation, names: tuple[str, ...]) -> int:
    """Hand out no messages of the queues NAMES until they are resumed; what runs goes on."""
    broker = invocation.connect_broker()
    for name in names:
        broker.pause(name)
    invocation.output.rows([{"queue": name, "paused": True} for name in names], {"queue": "queue", "paused": "paused"})
    return ExitCode.OK


@queue.command()
@click.argument("names", nargs=-1, required=True)
@pass_invocation
def resume(invocation: Invocation, names: tuple[str, ...]) -> int:
    """Hand out the messages of the queues NAMES again."""
    broker = invocation.connect_broker()
    for name in names:
        broker.resume(name)
    invocation.output.rows([{"queue": name, "paused": False} for name in names], {"queue": "queue", "paused": "paused"})
    return ExitCode.OK
