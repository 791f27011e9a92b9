"""The ``rpc`` result backend: each result is sent to the process that made the call, and is kept nowhere else."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any

from tq_amqp.capabilities import RPC_CAPABILITIES
from tq_amqp.connection import Doubt, Link, Parcel
from tq_amqp.results.kept import Kept, records_of
from tq_amqp.results.message import ResultCodec
from tq_amqp.results.place import delivery_mode_of, lifetime_of, link_of
from tq_amqp.results.reply_queue import ReplyQueue
from tq_amqp.results.subscription import KeptSubscription, watch
from tq_core.contracts.backend import Backend, BackendRequest, ResultRecord, ResultSubscription
from tq_core.errors import BackendError, BackendUnavailable, NotSupported
from tq_core.states import SUCCESS

logger = logging.getLogger(__name__)

#: Most bytes of a queue's name.
_LONGEST_NAME = 255


class Replies:
    """What one process receives; a source for watches.

    Args:
        link: the way to RabbitMQ.
        codec: reads results.
        lifetime: seconds they are kept, None for ever.
    """

    def __init__(self, link: Link, codec: ResultCodec, lifetime: float | None) -> None:
        self.kept = Kept(lifetime)
        self.queue = ReplyQueue(link, self.kept, codec)

    def expect(self, task_ids: Sequence[str]) -> None:
        """Read the queue, if anything can come: whoever waits for what somebody else has called waits in vain."""
        if task_ids and self.queue.wanted:
            self.queue.open()

    def release(self, task_ids: Sequence[str]) -> None:
        """Do nothing: the queue is read for all tasks."""


class RPCBackend(Backend):
    """A result backend without a store: results go to their callers.

    Args:
        link: the way to RabbitMQ.
        codec: writes and reads results.
        lifetime: seconds a process keeps the results it has received, None for ever.
    """

    capabilities = RPC_CAPABILITIES

    def __init__(self, link: Link, codec: ResultCodec, lifetime: float | None) -> None:
        self._link = link
        self._codec = codec
        self._lifetime = lifetime
        # By process: a forked child has a queue of its own, and does not touch its parent's.
        self._all: dict[int, Replies] = {}

    @classmethod
    def from_request(cls, request: BackendRequest) -> RPCBackend:
        """Open the backend a hook was asked for.

        Raises:
            ImproperlyConfigured: the broker is no RabbitMQ, the URL or an option cannot be used, or results would not
                be accepted.
        """
        link = link_of(request)
        mode = delivery_mode_of(request.settings, persistent=False)
        codec = ResultCodec(request.serializer, request.accept, mode, link.options.largest)
        return cls(link, codec, lifetime_of(request.settings))

    @property
    def _replies(self) -> Replies:
        pid = os.getpid()
        found = self._all.get(pid)
        if found is None:
            found = self._all.setdefault(pid, Replies(self._link, self._codec, self._lifetime))
        return found

    # replies

    def reply_address(self) -> str:
        queue = self._replies.queue
        queue.wanted = True
        return queue.address

    def open_replies(self) -> None:
        self._replies.queue.open()

    # results

    def connect(self, timeout: float) -> None:
        self._link.ping(timeout)

    def store(self, records: Sequence[ResultRecord]) -> None:
        parcels: list[Parcel] = []
        sent: list[str] = []
        for record in records:
            properties, body = self._codec.write(record)
            address = self._replies.queue.address if record.reply_to is None else record.reply_to
            if address and len(address.encode("utf-8", "surrogatepass")) <= _LONGEST_NAME:
                parcels.append(("", address, properties, body))
                sent.append(record.task_id)
        if any(record.reply_to is None for record in records):
            self._replies.queue.open()
        if not parcels:
            return
        try:
            outcome = self._link.publish(parcels, monotonic() + self._link.options.publish_timeout)
        except Doubt as error:
            kind = BackendUnavailable if error.refusal is None else BackendError
            raise kind(f"results were not sent: {error}") from error
        for place in outcome.returned:
            logger.debug("Nobody waits for the result of task %s any more: its caller has gone", sent[place])
        if outcome.refused:
            logger.warning(
                "%d results were dropped: RabbitMQ takes no more for their callers' queues", len(outcome.refused)
            )

    def fetch(self, task_ids: Sequence[str]) -> dict[str, ResultRecord]:
        self._catch_up(task_ids)
        return records_of(self._replies.kept.get(task_ids), task_ids)

    def _catch_up(self, task_ids: Sequence[str]) -> None:
        """Receive what has been sent, unless nothing of these tasks can come any more."""
        replies = self._replies
        if not replies.queue.wanted:
            return
        found = replies.kept.get(task_ids)
        if not all(task_id in found and _is_final(found[task_id]) for task_id in task_ids):
            replies.queue.catch_up()

    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        return watch(self._replies, task_ids, timeout)

    def subscribe(self) -> ResultSubscription:
        return KeptSubscription(self._replies)

    def forget(self, task_ids: Sequence[str]) -> None:
        self._catch_up(task_ids)
        self._replies.kept.drop(task_ids)

    def clean_up(self) -> int:
        return self._replies.kept.sweep()

    def close(self) -> None:
        replies = self._all.pop(os.getpid(), None)
        if replies is not None:
            replies.queue.close()
            replies.kept.disappoint(lambda: BackendError("The result backend was closed while results were awaited"))
        self._link.close()

    # what cannot be

    def save_group(self, group_id: str, result: Any) -> None:
        raise NotSupported(_no_groups())

    def load_group(self, group_id: str) -> Any | None:
        raise NotSupported(_no_groups())

    def delete_group(self, group_id: str) -> None:
        raise NotSupported(_no_groups())


def _is_final(found: ResultRecord | BackendError) -> bool:
    return isinstance(found, ResultRecord) and found.state == SUCCESS


def _no_groups() -> str:
    return (
        "the result backend 'rpc' keeps nothing that another process could read, so groups cannot be saved or "
        "restored. Keep the GroupResult itself, or use a result_backend such as redis:// or db+postgresql://"
    )
