"""A result record as one stored document: Celery's meta map, written by the result serializer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tq_core.contracts.backend import BackendRequest, ResultRecord
from tq_core.contracts.serializer import Serializer
from tq_core.errors import BackendError, DecodeError, ImproperlyConfigured
from tq_core.protocol.result import from_meta, to_meta


def write(record: ResultRecord, serializer: Serializer) -> bytes:
    """Return the record's document.

    Raises:
        EncodeError: its result cannot be serialized.
    """
    return serializer.dumps(to_meta(record))


def read(data: bytes, serializer: Serializer, where: str) -> ResultRecord:
    """Return the record in a document.

    Args:
        where: names the document in an error.

    Raises:
        BackendError: it cannot be read.
    """
    try:
        meta = serializer.loads(data)
    except DecodeError as error:
        raise BackendError(
            f"the result {where} is not {serializer.name}: {error}. Was it written with another `result_serializer`?"
        ) from error
    if not isinstance(meta, Mapping) or "task_id" not in meta:
        raise BackendError(f"the result {where} is {serializer.name}, but not a task's result")
    return from_meta(meta)


def lifetime(settings: Mapping[str, Any]) -> float | None:
    """Return how long results live in seconds (``result_expires``), None for ever."""
    expires = settings.get("result_expires", timedelta(days=1))
    if isinstance(expires, timedelta):
        expires = expires.total_seconds()
    return float(expires) if expires else None


def require_accepted(request: BackendRequest) -> None:
    """Refuse a result serializer whose results this process itself would not accept.

    Raises:
        ImproperlyConfigured: the serializer's content type is not among the accepted ones.
    """
    if request.accept and request.serializer.content_type not in request.accept:
        raise ImproperlyConfigured(
            f"`result_serializer` is {request.serializer.name!r}, which `result_accept_content` does not"
            f" accept; add {request.serializer.name!r} to `result_accept_content`"
        )
