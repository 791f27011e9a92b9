"""The work of a task queue with bare PyMySQL: tables of messages and results, ``SKIP LOCKED`` to claim."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import pymysql

from tests.benchmarks.ceilings.bare import MESSAGE, RESULT, Bare
from tests.benchmarks.systems.contract import Settings


class Driven(Bare):
    """One connection."""

    def __init__(self) -> None:
        parts = urlsplit(Settings.of_environment().url)
        self._connection = pymysql.connect(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 3306,
            user=unquote(parts.username or "root"),
            password=unquote(parts.password or ""),
            database=parts.path[1:],
        )
        self._cursor = self._connection.cursor()
        for statement in (
            "CREATE TABLE message (id BIGINT AUTO_INCREMENT PRIMARY KEY, queue VARCHAR(64), due DOUBLE, "
            "owner VARCHAR(64), body TEXT, INDEX waiting (queue, owner, id))",
            "CREATE TABLE result (id BIGINT PRIMARY KEY, body TEXT)",
        ):
            self._cursor.execute(statement)

    def publish(self, count: int) -> None:
        self._cursor.executemany(
            "INSERT INTO message (queue, due, body) VALUES (%s, %s, %s)", [("celery", 0.0, MESSAGE)] * count
        )
        self._connection.commit()

    def claim(self, limit: int) -> Sequence[int]:
        self._cursor.execute(
            "SELECT id, body FROM message WHERE queue = 'celery' AND owner IS NULL "
            "ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED",
            (limit,),
        )
        ids = [row[0] for row in self._cursor.fetchall()]
        self._cursor.execute("UPDATE message SET owner = 'me' WHERE id IN %s", (ids,))
        self._connection.commit()
        return ids

    def finish(self, claimed: Sequence[int]) -> None:
        self._cursor.executemany("INSERT INTO result (id, body) VALUES (%s, %s)", [(row, RESULT) for row in claimed])
        self._cursor.execute("DELETE FROM message WHERE owner = 'me' AND id IN %s", (list(claimed),))
        self._connection.commit()

    def fetch(self, claimed: int) -> None:
        self._cursor.execute("SELECT body FROM result WHERE id = %s", (claimed,))
        self._cursor.fetchone()

    def close(self) -> None:
        self._connection.close()
