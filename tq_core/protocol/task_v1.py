"""Protocol 1: everything stands in the body, one map. Celery 3 sends it, and other languages' clients do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tq_core.protocol import field
from tq_core.protocol.task import TaskCall, TaskMessage
from tq_core.timeutil import format_iso


def build(call: TaskCall) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return headers (the user's own only) and body of a call (``task_protocol = 1``).

    What protocol 1 has no field for is left out: a chain, stamps, ``root_id``, ``shadow`` and the like.

    Raises:
        ValueError: ``eta`` or ``expires`` is a number outside the years 1 to 9999.
    """
    return dict(call.headers), {
        "task": call.name,
        "id": call.id,
        "args": call.args,
        "kwargs": call.kwargs,
        "group": call.group,
        "group_index": call.group_index,
        "retries": call.retries,
        "eta": _iso(call.eta),
        "expires": _iso(call.expires),
        "utc": True,
        "callbacks": call.callbacks,
        "errbacks": call.errbacks,
        "timelimit": [call.time_limit, call.soft_time_limit],
        "taskset": call.group,
        "chord": call.chord,
    }


def _iso(value: datetime | float | str | None) -> str | None:
    return value if value is None or isinstance(value, str) else format_iso(value)


def parse(
    value: Any, head: Mapping[str, Any] | None = None, *, reply_to: str = "", correlation_id: str = ""
) -> TaskMessage:
    """Read a message of protocol 1, or the hybrid of 3.1's forward-compatible senders.

    Args:
        value: the decoded body.
        head: message headers. In a hybrid they have a ``task`` and lie over the fields of the body; else
            they are the user's.
        reply_to: property of the message.
        correlation_id: property of the message.

    Raises:
        InvalidTaskError: a field is missing or malformed; the text names it.
    """
    if not isinstance(value, dict):
        field.refuse("the body of a message without a task header", value, "a map (protocol 1)", private=True)
    fields: dict[str, Any] = dict(value)
    hybrid = bool(head) and "task" in (head or {})
    if head:
        fields.update(head if hybrid else {key: item for key, item in head.items() if key not in fields})
    task_id = field.identifier(fields, "id")
    name = field.required_text(fields, "task")
    args, kwargs = fields.get("args"), fields.get("kwargs")
    local = not field.flag(fields, "utc", True)
    hard, soft = field.time_limits(fields)
    stamped_headers, stamps = field.stamps(fields)
    return TaskMessage(
        protocol=1,
        id=task_id,
        name=name,
        args=() if args is None else field.arguments(args),
        kwargs={} if kwargs is None else field.keywords(kwargs),
        callbacks=field.signatures(fields, "callbacks"),
        errbacks=field.signatures(fields, "errbacks"),
        chain=field.signatures(fields, "chain") if hybrid else None,
        chord=field.signature(fields.get("chord"), "chord"),
        eta=field.moment(fields, "eta", local=local),
        expires=field.moment(fields, "expires", local=local),
        retries=field.count(fields, "retries"),
        time_limit=hard,
        soft_time_limit=soft,
        group=field.text(fields, "taskset") or field.text(fields, "group"),
        group_index=field.optional_count(fields, "group_index"),
        root_id=field.text(fields, "root_id") or task_id,
        parent_id=field.text(fields, "parent_id"),
        shadow=field.title(fields, "shadow"),
        ignore_result=field.flag(fields, "ignore_result"),
        replaced_task_nesting=field.count(fields, "replaced_task_nesting"),
        stamped_headers=stamped_headers,
        stamps=stamps,
        origin=field.remark(fields, "origin") or "",
        argsrepr=field.remark(fields, "argsrepr"),
        kwargsrepr=field.remark(fields, "kwargsrepr"),
        reply_to=reply_to,
        correlation_id=correlation_id,
        headers=head or {},
    )
