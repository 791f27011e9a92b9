"""The ``amqp`` result backend: a queue for each task, from which its result is read once. Celery had it until 5.0."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from tq_amqp.capabilities import TASK_QUEUE_CAPABILITIES
from tq_amqp.connection import Link
from tq_amqp.results.kept import records_of
from tq_amqp.results.message import ResultCodec
from tq_amqp.results.place import delivery_mode_of, lifetime_of, link_of
from tq_amqp.results.subscription import KeptSubscription, watch
from tq_amqp.results.task_queues import TaskQueues
from tq_amqp.results.task_reader import TaskReader
from tq_core.contracts.backend import Backend, BackendRequest, ResultRecord, ResultSubscription
from tq_core.errors import BackendError, NotSupported
from tq_core.states import SUCCESS


class TaskQueueBackend(Backend):
    """A result backend of queues. Any thread, any process.

    Args:
        link: the way to RabbitMQ.
        queues: the tasks' queues.
        codec: reads what is in them.
        lifetime: seconds that results stay with the process that has read them, None for ever.
    """

    capabilities = TASK_QUEUE_CAPABILITIES

    def __init__(self, link: Link, queues: TaskQueues, codec: ResultCodec, lifetime: float | None) -> None:
        self._link = link
        self._queues = queues
        self._codec = codec
        self._lifetime = lifetime
        # By process: a forked child does not touch its parent's connection.
        self._readers: dict[int, TaskReader] = {}

    @classmethod
    def from_request(cls, request: BackendRequest) -> TaskQueueBackend:
        """Open the backend a hook was asked for.

        Raises:
            ImproperlyConfigured: the broker is no RabbitMQ, the URL or an option cannot be used, or results would not
                be accepted.
        """
        settings = request.settings
        link = link_of(request)
        mode = delivery_mode_of(settings, persistent=True)
        codec = ResultCodec(request.serializer, request.accept, mode, link.options.largest)
        lifetime = lifetime_of(settings)
        queues = TaskQueues(
            link,
            codec,
            str(settings.get("result_exchange") or "celeryresults"),
            str(settings.get("result_exchange_type") or "direct"),
            durable=mode == 2,
            expires=lifetime,
        )
        return cls(link, queues, codec, lifetime)

    @property
    def _reader(self) -> TaskReader:
        pid = os.getpid()
        found = self._readers.get(pid)
        if found is None:
            made = TaskReader(self._link, self._queues, self._codec, self._lifetime)
            found = self._readers.setdefault(pid, made)
        return found

    def connect(self, timeout: float) -> None:
        self._link.ping(timeout)

    def store(self, records: Sequence[ResultRecord]) -> None:
        if records:
            self._queues.store(records)

    def fetch(self, task_ids: Sequence[str]) -> dict[str, ResultRecord]:
        found = self._reader.kept.get(task_ids)
        unsure = [task_id for task_id in task_ids if getattr(found.get(task_id), "state", None) != SUCCESS]
        if unsure:
            for task_id, one in self._queues.look(unsure):
                found[task_id] = one
        return records_of(found, task_ids)

    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        return watch(self._reader, task_ids, timeout)

    def subscribe(self) -> ResultSubscription:
        return KeptSubscription(self._reader)

    def forget(self, task_ids: Sequence[str]) -> None:
        self._reader.kept.drop(task_ids)
        self._queues.delete(task_ids)

    def clean_up(self) -> int:
        return self._reader.kept.sweep()

    def close(self) -> None:
        reader = self._readers.pop(os.getpid(), None)
        if reader is not None:
            reader.close()
            reader.kept.disappoint(lambda: BackendError("The result backend was closed while results were awaited"))
        self._link.close()

    # what cannot be

    def save_group(self, group_id: str, result: Any) -> None:
        raise NotSupported(_no_groups())

    def load_group(self, group_id: str) -> Any | None:
        raise NotSupported(_no_groups())

    def delete_group(self, group_id: str) -> None:
        raise NotSupported(_no_groups())


def _no_groups() -> str:
    return (
        "the result backend 'amqp' has a queue for each task and none for groups, so they cannot be saved or restored. "
        "Keep the GroupResult itself, or use a result_backend such as redis:// or db+postgresql://"
    )
