"""What the queues themselves tell: pauses, dead letters, messages nobody fetches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tq_core.cli.findings import Finding, good, problem, skipped
from tq_core.errors import TQError

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.contracts.broker import Broker

#: Seconds a ready message may wait before it looks as if nobody received from its queue.
_PATIENCE = 10.0


def examine(app: Celery) -> Iterator[Finding]:
    """Look at the queues of a broker that answers.

    Args:
        app: whose broker is asked.
    """
    broker = app.broker
    try:
        yield from _paused(broker)
        yield from _waiting(app, broker)
        yield from _dead(broker)
    except TQError as error:
        yield problem("queues", str(error), "Look at the broker's own log.")


def _paused(broker: Broker) -> Iterator[Finding]:
    if broker.capabilities.pause:
        for name in broker.paused():
            yield problem("queues", f"{name!r} is paused: nothing of it is handed out", f"tq queue resume {name}")


def _waiting(app: Celery, broker: Broker) -> Iterator[Finding]:
    if not broker.capabilities.depth:
        yield skipped("workers", "this broker cannot count messages")
        return
    known, paused = set(app.queues), set(broker.paused()) if broker.capabilities.pause else set()
    names = sorted(known | set(broker.queues()))
    served = True
    for name in names:
        depth = broker.depth(name)
        if not depth.ready or name in paused:
            continue
        if name not in known:
            served = False
            yield problem(
                "workers",
                f"{depth.ready} messages wait in {name!r}, a queue this application does not receive from",
                f"Start a worker with -Q {name}, or correct task_routes; client and worker may differ in settings.",
            )
        elif depth.oldest is not None and depth.oldest > _PATIENCE and not depth.held:
            served = False
            yield problem(
                "workers",
                f"{depth.ready} messages wait in {name!r}, the oldest for {depth.oldest:.0f} s, and nobody holds any",
                "Start a worker: tq -A … worker -l info. Does the running one use the same broker?",
            )
    if served:
        yield good("workers", f"nothing waits unserved in {', '.join(names)}")


def _dead(broker: Broker) -> Iterator[Finding]:
    if not broker.capabilities.dead_letters:
        return
    letters = list(broker.dead_letters(limit=1000))
    if letters:
        count = f"{len(letters)}{'' if len(letters) < 1000 else ' or more'}"
        yield problem(
            "dead letters",
            f"{count}; the newest, from {letters[0].queue!r}: {letters[0].reason}",
            "tq dead list shows them, tq dead replay puts them back.",
        )
    else:
        yield good("dead letters", "none")
