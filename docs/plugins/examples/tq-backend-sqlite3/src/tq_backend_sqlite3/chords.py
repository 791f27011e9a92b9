"""Which parts of a chord have come, and who may send its body."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence

#: What completes a chord, and to whom it may be given: to nobody else while a claim lasts.
_CLAIM = """
update chords set claimant = :claimant, claim_ends = :now + :lease
where group_id = :group_id and not closed
  and size <= (select count(*) from parts where parts.group_id = chords.group_id)
  and (claim_ends <= :now or claimant = :claimant)
"""


def set_size(connection: sqlite3.Connection, group_id: str, size: int, expires: float | None) -> None:
    """Say how many parts a chord waits for."""
    connection.execute(
        "insert into chords (group_id, size, expires) values (?, ?, ?)"
        " on conflict (group_id) do update set size = excluded.size where not closed",
        (group_id, size, expires),
    )


def enlarge(connection: sqlite3.Connection, group_id: str, by: int) -> None:
    """Let a chord wait for more parts."""
    connection.execute("update chords set size = size + ? where group_id = ?", (by, group_id))


def add(connection: sqlite3.Connection, parts: Iterable[tuple[str, str, int, bytes]], expires: float | None) -> None:
    """Record parts, each a group id, a task id, a position and a document; those of a closed chord are dropped."""
    for group_id, task_id, position, document in parts:
        connection.execute("insert or ignore into chords (group_id, expires) values (?, ?)", (group_id, expires))
        connection.execute(
            "insert or ignore into parts select ?, ?, ?, ? where exists"
            " (select 1 from chords where group_id = ? and not closed)",
            (group_id, task_id, position, document, group_id),
        )


def claim(connection: sqlite3.Connection, group_ids: Iterable[str], claimant: str, lease: float) -> list[str]:
    """Return those chords that are complete and now claimed by ``claimant`` for ``lease`` seconds."""
    facts = {"claimant": claimant, "lease": lease, "now": time.time()}
    return [
        group_id
        for group_id in dict.fromkeys(group_ids)
        if connection.execute(_CLAIM, {**facts, "group_id": group_id}).rowcount
    ]


def documents(connection: sqlite3.Connection, group_id: str) -> Sequence[tuple[bytes]]:
    """Return the documents of a chord's parts, in their order."""
    return connection.execute("select document from parts where group_id = ? order by position", (group_id,)).fetchall()


def close(connection: sqlite3.Connection, group_id: str, expires: float | None) -> None:
    """Drop a chord's parts and remember that its body was sent."""
    connection.execute(
        "insert into chords (group_id, closed, expires) values (?, 1, ?)"
        " on conflict (group_id) do update set closed = 1, expires = excluded.expires",
        (group_id, expires),
    )
    connection.execute("delete from parts where group_id = ?", (group_id,))
