"""Results as Celery's documents: the meta map in the result serializer's format, perhaps compressed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tq_core.contracts.backend import ChordPart, ResultRecord
from tq_core.contracts.serializer import Serializer
from tq_core.errors import BackendError, DecodeError, EncodeError
from tq_core.protocol.result import from_meta, to_meta
from tq_core.serializers.compression import compress, decompress

#: What a compressed document begins with (Celery 5.7); the content type of the compression and a zero byte follow.
MAGIC = b"\x00celery-compressed\x00"

#: Longest value that Redis takes, and most that a document may unfold to.
LARGEST = 512 << 20


class ResultCodec:
    """Writes and reads documents. Any thread.

    Args:
        serializer: of results.
        compression: to write with, or None; every compression is read.
    """

    def __init__(self, serializer: Serializer, compression: str | None) -> None:
        self._serializer = serializer
        self._compression = compression

    def dumps(self, value: Any) -> bytes:
        """Return a value as a document.

        Raises:
            EncodeError: it cannot be serialized, or is too large for Redis.
        """
        data = self._serializer.dumps(value)
        if self._compression is not None:
            data, content_type = compress(data, self._compression)
            data = MAGIC + content_type.encode() + b"\0" + data
        if len(data) > LARGEST:
            raise EncodeError(f"a result of {len(data)} bytes is too large: Redis takes {LARGEST} at most")
        return data

    def loads(self, data: bytes, where: str) -> Any:
        """Return a document's value.

        Args:
            where: names the document in an error.

        Raises:
            BackendError: it cannot be read.
        """
        try:
            if data.startswith(MAGIC):
                content_type, _, data = data[len(MAGIC) :].partition(b"\0")
                data = decompress(data, content_type.decode("latin-1"), LARGEST)
            return self._serializer.loads(data)
        except DecodeError as error:
            raise BackendError(
                f"{where} is not {self._serializer.name}: {error}. Was it written with another `result_serializer`?"
            ) from error

    def dumps_record(self, record: ResultRecord) -> bytes:
        """Return a record's document; like :meth:`dumps`."""
        return self.dumps(to_meta(record))

    def loads_record(self, data: bytes, task_id: str) -> ResultRecord:
        """Return a document's record; like :meth:`loads`."""
        where = f"the result of task {task_id}"
        try:
            record = from_meta(self.loads(data, where), task_id)
        except DecodeError as error:
            raise BackendError(f"{where} cannot be read: {error}") from error
        # The key is what was asked for, whatever the document says.
        return record if record.task_id == task_id else replace(record, task_id=task_id)

    def dumps_part(self, part: ChordPart) -> bytes:
        """Return a chord's part as ``[1, task id, state, result]``; like :meth:`dumps`."""
        return self.dumps([1, part.task_id, part.state, part.result])

    def loads_part(self, data: bytes, group_id: str, index: int) -> ChordPart:
        """Return a chord's part; like :meth:`loads`."""
        where = f"a part of the chord {group_id}"
        value = self.loads(data, where)
        if not isinstance(value, Sequence) or len(value) != 4:
            raise BackendError(f"{where} is not [1, task id, state, result]")
        return ChordPart(group_id, index, value[1], value[2], value[3])
