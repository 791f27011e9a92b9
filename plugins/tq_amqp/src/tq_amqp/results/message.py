"""Results as Celery's messages: the meta map, written by the result serializer, with the task's id beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tq_amqp import frames
from tq_core.contracts.backend import ResultRecord
from tq_core.contracts.serializer import Serializer
from tq_core.errors import BackendError, DecodeError, EncodeError, TQError
from tq_core.protocol.result import from_meta, to_meta
from tq_core.serializers.compression import decompress
from tq_core.serializers.registry import SerializerRegistry


class ResultCodec:
    """Writes and reads result messages. Any thread.

    Args:
        serializer: of results.
        accept: content types that may be read.
        delivery_mode: of the messages.
        largest: most bytes that a compressed result may unfold to.
    """

    def __init__(self, serializer: Serializer, accept: frozenset[str], delivery_mode: int, largest: int) -> None:
        self._serializer = serializer
        self._accept = accept
        self._largest = largest or (1 << 31)
        self._others: SerializerRegistry | None = None
        self._constant = {
            "content_type": serializer.content_type,
            "content_encoding": serializer.content_encoding,
            "headers": {},
            "delivery_mode": delivery_mode,
            "priority": 0,
        }

    def write(self, record: ResultRecord, expiration: str | None = None) -> tuple[bytes, bytes]:
        """Return the properties and the body of a record's message.

        Args:
            record: what it says.
            expiration: milliseconds after which RabbitMQ drops it from its queue, as text.

        Raises:
            EncodeError: it cannot be serialized, or the task's id is too long for a message.
        """
        body = self._serializer.dumps(to_meta(record))
        properties = {**self._constant, "correlation_id": record.task_id, "expiration": expiration}
        try:
            return frames.write_properties(properties), body
        except ValueError as error:
            raise EncodeError(f"the result of task {record.task_id!r:.80} cannot be sent: {error}") from error

    def read(self, header: bytes, body: bytes) -> tuple[str, ResultRecord | BackendError]:
        """Return the task's id and its record, or what is wrong with it; the id is "" where it cannot be told.

        Args:
            header: the header frame.
            body: the body.
        """
        task_id = ""
        try:
            properties = frames.read_properties(header)
            task_id = properties.get("correlation_id") or ""
            record = from_meta(self._decoded(properties, body), task_id or None)
        except (ValueError, TQError) as error:
            where = f"the result of task {task_id}" if task_id else "a result without a task's id"
            return task_id, BackendError(f"{where} cannot be read: {error}")
        if task_id and record.task_id != task_id:  # a worker may have sent it under an id of its own
            record = replace(record, task_id=task_id)
        return record.task_id, record

    def _decoded(self, properties: dict[str, Any], body: bytes) -> Any:
        compression = (properties.get("headers") or {}).get("compression")
        if compression:
            body = decompress(body, str(compression), self._largest)
        content_type = properties.get("content_type") or ""
        if content_type == self._serializer.content_type:
            return self._serializer.loads(body)
        if content_type not in self._accept:
            raise DecodeError(
                f"it was written as {content_type!r}, which result_accept_content does not accept. Give workers and "
                "clients the same `result_serializer`, or accept it"
            )
        if self._others is None:
            self._others = SerializerRegistry()
        return self._others.get(content_type).loads(body)
