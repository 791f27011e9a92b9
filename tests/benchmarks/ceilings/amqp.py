"""The work of a task queue with bare py-amqp: confirmed, persistent messages; results as messages to a reply queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp

from tests.benchmarks.ceilings.bare import MESSAGE, RESULT, Bare
from tests.benchmarks.systems.contract import BATCH, Settings


class Driven(Bare):
    """A connection that publishes and waits for confirmations, and one that consumes and answers without."""

    def __init__(self) -> None:
        self._client, self._worker = _connect(), _connect()
        self._sending, self._receiving = self._client.channel(), self._worker.channel()
        self._sent = self._confirmed = 0
        self._sending.confirm_select()
        self._sending.events["basic_ack"].add(self._note)
        self._arrived: deque[Any] = deque()
        self._receiving.queue_declare("celery", durable=True, auto_delete=False)
        self._receiving.queue_declare("replies")
        self._receiving.basic_qos(0, 2 * BATCH, False)
        self._consuming = False

    def _note(self, tag: int, multiple: bool) -> None:
        # What is confirmed comes in order here: one channel, one queue.
        self._confirmed = tag

    def publish(self, count: int) -> None:
        for _ in range(count):
            self._sending.basic_publish(amqp.Message(MESSAGE, delivery_mode=2), routing_key="celery")
        self._sent += count
        while self._confirmed < self._sent:
            self._client.drain_events()

    def claim(self, limit: int) -> Sequence[Any]:
        if not self._consuming:
            self._receiving.basic_consume("celery", callback=self._arrived.append)
            self._consuming = True
        while not self._arrived:
            self._worker.drain_events()
        return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]

    def finish(self, claimed: Sequence[Any]) -> None:
        for _ in claimed:
            self._receiving.basic_publish(amqp.Message(RESULT), routing_key="replies")
        self._receiving.basic_ack(claimed[-1].delivery_tag, multiple=True)

    def fetch(self, claimed: Any) -> None:
        while self._sending.basic_get("replies", no_ack=True) is None:
            pass

    def close(self) -> None:
        self._client.close()
        self._worker.close()


def _connect() -> Any:
    parts = urlsplit(Settings.of_environment().url)
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port or 5672}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
    )
    connection.connect()
    return connection
