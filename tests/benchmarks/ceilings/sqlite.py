"""The work of a task queue with the bare ``sqlite3`` module: tables of messages and results, in WAL mode."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tests.benchmarks.ceilings.bare import MESSAGE, RESULT, Bare
from tests.benchmarks.systems.contract import Settings


class Driven(Bare):
    """One connection."""

    def __init__(self) -> None:
        path = Settings.of_environment().url.removeprefix("sqlite:///")
        self._database = sqlite3.connect(path, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=NORMAL",
            "CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, due REAL, owner TEXT, body TEXT)",
            "CREATE INDEX waiting ON message (queue, id) WHERE owner IS NULL",
            "CREATE TABLE result (id INTEGER PRIMARY KEY, body TEXT)",
        ):
            self._database.execute(statement)

    def publish(self, count: int) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany(
            "INSERT INTO message (queue, due, body) VALUES (?, ?, ?)", [("celery", 0.0, MESSAGE)] * count
        )
        self._database.execute("COMMIT")

    def claim(self, limit: int) -> Sequence[int]:
        self._database.execute("BEGIN IMMEDIATE")
        rows = self._database.execute(
            "UPDATE message SET owner = 'me' WHERE id IN "
            "(SELECT id FROM message WHERE queue = 'celery' AND owner IS NULL ORDER BY id LIMIT ?) RETURNING id, body",
            (limit,),
        ).fetchall()
        self._database.execute("COMMIT")
        return [row[0] for row in rows]

    def finish(self, claimed: Sequence[int]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT INTO result (id, body) VALUES (?, ?)", [(row, RESULT) for row in claimed])
        self._database.executemany("DELETE FROM message WHERE id = ? AND owner = 'me'", [(row,) for row in claimed])
        self._database.execute("COMMIT")

    def fetch(self, claimed: int) -> None:
        self._database.execute("SELECT body FROM result WHERE id = ?", (claimed,)).fetchone()

    def close(self) -> None:
        self._database.close()
