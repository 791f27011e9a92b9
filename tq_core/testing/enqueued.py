"""What a test finds in the queues: calls that were sent and have not run, and assertions about them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tq_core import clock
from tq_core.errors import TQError
from tq_core.message import Message
from tq_core.protocol.saferepr import saferepr
from tq_core.timeutil import from_unix, to_unix

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.task import Task

#: Calls looked at in one queue.
_MOST = 10_000
#: Calls listed when an assertion fails.
_SHOWN = 20
#: Times that differ by less (seconds) are the same: they travel in microseconds.
_SAME_TIME = 0.001
#: What an assertion may compare.
_COMPARED = frozenset({"args", "kwargs", "queue", "eta", "countdown", "priority", "retries", "id"})


@dataclass(frozen=True, slots=True)
class EnqueuedCall:
    """A call that waits in a queue.

    Attributes:
        task: name of the task.
        id: its id.
        args, kwargs: its arguments as the worker will see them.
        queue: where it waits.
        eta: when it is due, None for at once.
        expires: when it expires, None for never.
        retries: runs that came before.
        priority: as given to the broker.
        headers: of the message.
        defect: why the message cannot be read, None for one that can.
    """

    task: str
    id: str
    queue: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    eta: datetime | None = None
    expires: datetime | None = None
    retries: int = 0
    priority: int | None = None
    headers: Mapping[str, Any] = field(default_factory=dict, repr=False)
    defect: str | None = None

    @property
    def countdown(self) -> float | None:
        """Seconds from now until it is due, None for one that is due at once."""
        return None if self.eta is None else to_unix(self.eta) - clock.now()

    def __str__(self) -> str:
        notes = [f"queue {self.queue}"]
        if self.eta is not None:
            notes.append(f"due in {self.countdown:.6g} s ({self.eta.isoformat()})")
        if self.expires is not None:
            notes.append(f"expires in {to_unix(self.expires) - clock.now():.6g} s")
        if self.priority is not None:
            notes.append(f"priority {self.priority}")
        if self.retries:
            notes.append(f"retry {self.retries}")
        if self.defect is not None:
            notes.append(f"unreadable: {self.defect}")
        return f"{_call_text(self.task, self.args, self.kwargs)}  [{', '.join(notes)}]"


class Enqueued:
    """The calls that wait in an application's queues, due or not.

    Args:
        app: the application; its broker must be able to ``peek``.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._since = time.monotonic()

    def calls(self) -> list[EnqueuedCall]:
        """Return what waits: queue by queue, in the order workers would get it, what is not due last."""
        broker = self._app.broker
        read = self._app.message_reader()
        deliveries = [delivery for queue in broker.queues() for delivery in broker.peek(queue, _MOST)]
        return [_seen(delivery.message, read) for delivery in deliveries if delivery.message is not None]

    def require(self, task: Task | str | None = None, *, count: int | None = None, **wanted: Any) -> list[EnqueuedCall]:
        """Fail unless such a call waits.

        Args:
            task: the task or its name; None for any.
            count: how many there must be exactly; None for at least one.
            **wanted: what is compared: ``args``, ``kwargs``, ``queue``, ``eta`` (datetime, or None for none),
                ``countdown`` (seconds from now, or a ``timedelta``), ``priority``, ``retries``, ``id``.

        Returns:
            the calls found.

        Raises:
            AssertionError: shows what is enqueued instead.
        """
        __tracebackhide__ = True
        found, others = self._sort(task, wanted)
        if len(found) == count or (count is None and found):
            return found
        expected = "at least 1" if count is None else str(count)
        raise AssertionError(
            f"expected {expected} enqueued {'call' if count in (None, 1) else 'calls'} of {_described(task, wanted)}, "
            f"found {len(found)}" + _listed("matching", found) + _listed("enqueued, but different", others)
        )

    def refuse(self, task: Task | str | None = None, **wanted: Any) -> None:
        """Fail if such a call waits; arguments as for :meth:`require`.

        Raises:
            AssertionError: shows the calls found.
        """
        __tracebackhide__ = True
        found, _ = self._sort(task, wanted)
        if found:
            raise AssertionError(
                f"expected no enqueued call of {_described(task, wanted)}, found {len(found)}{_listed('found', found)}"
            )

    def _sort(
        self, task: Task | str | None, wanted: Mapping[str, Any]
    ) -> tuple[list[EnqueuedCall], list[EnqueuedCall]]:
        """Return the calls that are as wanted, and the others."""
        unknown = wanted.keys() - _COMPARED
        if unknown:
            raise TypeError(f"there is nothing to compare by the name of {', '.join(sorted(unknown))}")
        found: list[EnqueuedCall] = []
        others: list[EnqueuedCall] = []
        for call in self.calls():
            same = task is None or call.task == _name(task)
            same = same and all(self._is_as_wanted(call, key, value) for key, value in wanted.items())
            (found if same else others).append(call)
        return found, others

    def _is_as_wanted(self, call: EnqueuedCall, key: str, wanted: Any) -> bool:
        if key == "eta":
            return _same_eta(wanted, call.eta)
        if key == "countdown":
            return self._same_countdown(wanted, call.countdown)
        return _same(wanted, getattr(call, key))

    def _same_countdown(self, wanted: float | timedelta | None, left: float | None) -> bool:
        if wanted is None or left is None:
            return wanted is left
        seconds = wanted.total_seconds() if isinstance(wanted, timedelta) else wanted
        late = time.monotonic() - self._since  # the call may have been made as long ago as this
        return seconds - late - _SAME_TIME < left < seconds + _SAME_TIME


def _seen(message: Message, read: Any) -> EnqueuedCall:
    try:
        call = read(message)
    except TQError as error:
        return EnqueuedCall(str(message.headers.get("task")), message.id, message.queue, defect=str(error))
    return EnqueuedCall(
        call.name,
        call.id,
        message.queue,
        call.args,
        call.kwargs,
        None if call.eta is None else from_unix(call.eta),
        None if call.expires is None else from_unix(call.expires),
        call.retries,
        message.priority,
        message.headers,
    )


# What is compared, and how


def _same(wanted: Any, found: Any) -> bool:
    """Compare values where one has been through a serializer, which makes lists of tuples."""
    if isinstance(wanted, (list, tuple)) and isinstance(found, (list, tuple)):
        return len(wanted) == len(found) and all(map(_same, wanted, found))
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return wanted.keys() == found.keys() and all(_same(wanted[key], found[key]) for key in wanted)
    return bool(wanted == found)


def _same_eta(wanted: datetime | None, found: datetime | None) -> bool:
    if wanted is None or found is None:
        return wanted is found
    return abs(to_unix(found) - to_unix(wanted)) < _SAME_TIME


# What is said when an assertion fails


def _name(task: Task | str) -> str:
    return task if isinstance(task, str) else task.name


def _described(task: Task | str | None, wanted: Mapping[str, Any]) -> str:
    details = ", ".join(f"{key}={saferepr(value)}" for key, value in wanted.items())
    name = "any task" if task is None else _name(task)
    return f"{name} with {details}" if details else name


def _call_text(task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    given = [*map(saferepr, args), *(f"{name}={saferepr(value)}" for name, value in kwargs.items())]
    return f"{task}({', '.join(given)})"


def _listed(heading: str, calls: Sequence[EnqueuedCall]) -> str:
    if not calls:
        return f"\n{heading}: nothing" if heading.startswith("enqueued") else ""
    lines = [f"  {call}" for call in calls[:_SHOWN]]
    if len(calls) > _SHOWN:
        lines.append(f"  … and {len(calls) - _SHOWN} more")
    return "\n".join([f"\n{heading}:", *lines])
