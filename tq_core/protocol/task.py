"""A task message in words of our own: what a sender says, and what a worker understood.

Both are named tuples, because one is made for every message: a frozen dataclass with this many fields takes
several times as long. They do not change; ``_replace`` makes a changed copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

_NOTHING: Mapping[str, Any] = {}

#: Headers that protocol 2 defines; every other one is the user's.
KNOWN_HEADERS = frozenset(
    [
        *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit"),
        *(
            "root_id",
            "parent_id",
            "argsrepr",
            "kwargsrepr",
            "origin",
            "ignore_result",
            "replaced_task_nesting",
        ),
        *("stamped_headers", "stamps", "compression", "meth", "redelivered"),
    ]
)


class TaskCall(NamedTuple):
    """One call of a task, with every option already decided.

    Attributes:
        name: registered name.
        id: the new task's id, any non-empty text.
        args: positional arguments, as the serializer takes them.
        kwargs: keyword arguments.
        eta: not to run before; aware datetime, Unix seconds or ISO text. Naive means UTC.
        expires: not to run after; likewise.
        retries: how many runs came before.
        time_limit: seconds until a run is stopped, None for no limit.
        soft_time_limit: seconds until ``SoftTimeLimitExceeded`` is raised in it.
        group: id of the group it is a member of.
        group_index: position in that group, which orders a chord's results.
        root_id: id of the first task of the workflow; None for the task itself.
        parent_id: id of the task that sent this one.
        shadow: another name for logs and events.
        argsrepr: text for logs and monitors; None computes it from ``args``.
        kwargsrepr: likewise from ``kwargs``.
        origin: name of the sending node.
        ignore_result: keep no result.
        replaced_task_nesting: how often ``Task.replace`` led here.
        stamped_headers: names of stamps.
        stamps: their values.
        callbacks: signatures to send after success.
        errbacks: signatures to send after failure.
        chain: signatures to follow, the next one last.
        chord: signature of the chord's body.
        headers: the user's own headers, at one level with ours; they win.
    """

    name: str
    id: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = _NOTHING
    eta: datetime | float | str | None = None
    expires: datetime | float | str | None = None
    retries: int = 0
    time_limit: float | None = None
    soft_time_limit: float | None = None
    group: str | None = None
    group_index: int | None = None
    root_id: str | None = None
    parent_id: str | None = None
    shadow: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    ignore_result: bool = False
    replaced_task_nesting: int = 0
    stamped_headers: Sequence[str] | None = None
    stamps: Mapping[str, Any] = _NOTHING
    callbacks: Sequence[Any] | None = None
    errbacks: Sequence[Any] | None = None
    chain: Sequence[Any] | None = None
    chord: Any = None
    headers: Mapping[str, Any] = _NOTHING


class TaskMessage(NamedTuple):
    """A task message that was read and found well-formed: every field has the type it is declared with.

    Attributes:
        protocol: 1 or 2.
        id, name: of the task.
        args, kwargs: its arguments.
        callbacks, errbacks, chain, chord: as in :class:`TaskCall`.
        eta, expires: Unix seconds.
        retries, time_limit, soft_time_limit, group, group_index, root_id, parent_id, shadow: as in
            :class:`TaskCall`; ``root_id`` is never None.
        ignore_result, replaced_task_nesting, stamped_headers, stamps: likewise.
        origin: name of the sending node, ``""`` if unknown.
        argsrepr, kwargsrepr: the sender's texts, or None: then
            :func:`~tq_core.protocol.saferepr.saferepr` of the arguments serves.
        reply_to: where an ``rpc`` result goes, or ``""``.
        correlation_id: the property of that name, usually the task's id.
        headers: all headers as received (protocol 1: the body's fields).
    """

    protocol: int
    id: str
    name: str
    args: Sequence[Any]
    kwargs: dict[str, Any]
    callbacks: Sequence[Any] | None
    errbacks: Sequence[Any] | None
    chain: Sequence[Any] | None
    chord: Any
    eta: float | None
    expires: float | None
    retries: int
    time_limit: float | None
    soft_time_limit: float | None
    group: str | None
    group_index: int | None
    root_id: str
    parent_id: str | None
    shadow: str | None
    ignore_result: bool
    replaced_task_nesting: int
    stamped_headers: Sequence[str] | None
    stamps: dict[str, Any]
    origin: str
    argsrepr: str | None
    kwargsrepr: str | None
    reply_to: str
    correlation_id: str
    headers: Mapping[str, Any]

    @property
    def extra(self) -> dict[str, Any]:
        """The user's own headers, tracing headers included."""
        if self.headers.keys() <= KNOWN_HEADERS:  # nearly always; one look-up for all of them is the quickest
            return {}
        return {key: value for key, value in self.headers.items() if key not in KNOWN_HEADERS}
