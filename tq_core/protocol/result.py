"""Result documents: the map that Celery's backends keep for each task, and result tuples.

Exceptions inside are the business of :mod:`tq_core.protocol.exception`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tq_core.contracts.backend import ResultRecord
from tq_core.errors import DecodeError
from tq_core.timeutil import format_iso

_FIELDS = frozenset(("status", "result", "traceback", "children", "date_done", "task_id", "group_id", "parent_id"))


def to_meta(record: ResultRecord) -> dict[str, Any]:
    """Return a record as the map that is stored."""
    meta: dict[str, Any] = {
        "status": record.state,
        "result": record.result,
        "traceback": record.traceback,
        "children": list(record.children),
        "date_done": record.date_done,
    }
    if record.group_id:
        meta["group_id"] = record.group_id
    if record.parent_id:
        meta["parent_id"] = record.parent_id
    if record.extended:
        meta.update(record.extended)
    meta["task_id"] = record.task_id
    return meta


def from_meta(meta: Any, task_id: str | None = None) -> ResultRecord:
    """Return a stored map as a record.

    Args:
        meta: the decoded map; fields nobody defines are kept in ``extended``.
        task_id: the id it was stored under, where the map may lack it.

    Raises:
        DecodeError: it is no result document.
    """
    if type(meta) is not dict and not isinstance(meta, Mapping):
        raise DecodeError(f"a stored result is {type(meta).__name__}, expected a map with status and result")
    state = meta.get("status")
    found = meta.get("task_id", task_id)
    if not isinstance(state, str) or not isinstance(found, str):
        raise DecodeError(
            f"the stored result of task {task_id or found!r:.80} lacks a status or a task_id; "
            "something else may have been written under its key"
        )
    done = meta.get("date_done")
    children = meta.get("children")
    traceback = meta.get("traceback")
    return ResultRecord(
        found,
        state,
        meta.get("result"),
        None if traceback is None else str(traceback),
        children if isinstance(children, (list, tuple)) else (),
        done if isinstance(done, str) else format_iso(done) if isinstance(done, datetime) else None,
        _id(meta.get("group_id")),
        _id(meta.get("parent_id")),
        {} if meta.keys() <= _FIELDS else {key: value for key, value in meta.items() if key not in _FIELDS},
    )


def _id(value: Any) -> str | None:
    return value if isinstance(value, str) else None


class ResultTuple(NamedTuple):
    """What a result tuple says.

    Attributes:
        id: of the task or group.
        parent: of what came before it, or None.
        children: None for a task, the members for a group.
    """

    id: str
    parent: ResultTuple | None = None
    children: tuple[ResultTuple, ...] | None = None


def write_tuple(result: ResultTuple) -> list[Any]:
    """Return ``[[id, parent], null]`` for a task, ``[[id, parent], [member, …]]`` for a group."""
    parent: list[Any] | None = None
    line = []
    step: ResultTuple | None = result
    while step is not None:  # a loop, because a chain may be longer than Python's stack
        line.append(step)
        step = step.parent
    for step in reversed(line):
        members = None if step.children is None else [write_tuple(child) for child in step.children]
        parent = [[step.id, parent], members]
    return parent or []


def read_tuple(value: Any) -> ResultTuple:
    """Return what :func:`write_tuple`, or a Celery peer, wrote; a bare id counts as a task.

    Raises:
        DecodeError: it is no result tuple.
    """
    try:
        return _read_tuple(value)
    except RecursionError:
        raise DecodeError("a result tuple is nested too deeply to be read") from None


def _read_tuple(value: Any) -> ResultTuple:
    line: list[tuple[str, Any]] = []
    while value is not None:
        if isinstance(value, str):
            line.append((value, None))
            break
        if not _is_pair(value):
            raise _no_tuple(value)
        head, members = value
        task_id, value = head if _is_pair(head) else (head, None)
        if not isinstance(task_id, str) or not (members is None or isinstance(members, (list, tuple))):
            raise _no_tuple([head, members])
        line.append((task_id, members))
    result: ResultTuple | None = None
    for task_id, members in reversed(line):
        children = None if members is None else tuple(_read_tuple(member) for member in members)
        result = ResultTuple(task_id, result, children)
    if result is None:
        raise _no_tuple(value)
    return result


def _is_pair(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and len(value) == 2


def _no_tuple(value: Any) -> DecodeError:
    return DecodeError(f"not a result tuple [[id, parent], members]: {type(value).__name__}")
