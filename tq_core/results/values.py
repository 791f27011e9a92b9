"""What a stored record means to a program: a value, or an exception to raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tq_core import states
from tq_core.errors import TaskRevokedError
from tq_core.protocol.exception import rebuild_exception
from tq_core.results import waiting

if TYPE_CHECKING:
    from tq_core.contracts.backend import ResultRecord


def value_of(record: ResultRecord) -> Any:
    """Return a record's value; for a state that ends in an exception, the exception."""
    if record.state not in states.EXCEPTION_STATES or isinstance(record.result, BaseException):
        return record.result
    if isinstance(record.result, Mapping):
        return rebuild_exception(record.result)
    if record.state == states.REVOKED:
        return TaskRevokedError(str(record.result or "revoked"))
    return record.result


def raise_of(record: ResultRecord) -> None:
    """Raise what a record says the task raised; nothing where it did not."""
    if record.state not in states.PROPAGATE_STATES:
        return
    error = value_of(record)
    if not isinstance(error, BaseException):
        error = Exception(error)
    if record.traceback:
        raise error from waiting.RemoteTraceback(record.traceback)
    raise error


def document(record: ResultRecord) -> dict[str, Any]:
    """Return a record as Celery's result document, with the exception itself for a failure."""
    return {
        "task_id": record.task_id,
        "status": record.state,
        "result": value_of(record),
        "traceback": record.traceback,
        "children": list(record.children or ()),
        "date_done": record.date_done,
    }
