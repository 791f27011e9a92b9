"""The work of a task queue with bare psycopg: tables of messages and results, ``SKIP LOCKED`` to claim."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from tests.benchmarks.ceilings.bare import MESSAGE, RESULT, Bare
from tests.benchmarks.systems.contract import Settings


class Driven(Bare):
    """One connection; every statement is its own transaction where one is enough."""

    def __init__(self) -> None:
        self._connection = psycopg.connect(Settings.of_environment().url, autocommit=True)
        self._cursor = self._connection.cursor()
        for statement in (
            "CREATE TABLE message (id bigserial PRIMARY KEY, queue text, due float, owner text, body text)",
            "CREATE INDEX waiting ON message (queue, id) WHERE owner IS NULL",
            "CREATE TABLE result (id bigint PRIMARY KEY, body text)",
        ):
            self._cursor.execute(statement)

    def publish(self, count: int) -> None:
        self._cursor.execute(
            "INSERT INTO message (queue, due, body) SELECT 'celery', 0, unnest(%s::text[])",
            ([MESSAGE] * count,),
            prepare=True,
        )

    def claim(self, limit: int) -> Sequence[int]:
        rows = self._cursor.execute(
            "UPDATE message SET owner = 'me' WHERE id IN (SELECT id FROM message WHERE queue = 'celery' "
            "AND owner IS NULL ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id, body",
            (limit,),
            prepare=True,
        ).fetchall()
        return [row[0] for row in rows]

    def finish(self, claimed: Sequence[int]) -> None:
        self._cursor.execute(
            "WITH gone AS (DELETE FROM message WHERE id = ANY(%s) AND owner = 'me' RETURNING id) "
            "INSERT INTO result (id, body) SELECT id, %s FROM gone",
            (list(claimed), RESULT),
            prepare=True,
        )

    def fetch(self, claimed: int) -> None:
        self._cursor.execute("SELECT body FROM result WHERE id = %s", (claimed,), prepare=True).fetchone()

    def close(self) -> None:
        self._connection.close()
