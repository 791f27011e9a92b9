"""Changing a work-flow from inside: replacing the running task, and adding to its chord."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tq_core.canvas.making import maybe_signature
from tq_core.errors import ImproperlyConfigured, NotSupported

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.task import Task

#: Position of members added to a chord: behind those it was made with.
_LAST = 2**31 - 1


def replace_task(app: Celery, task: Task, sig: Any) -> Any:
    """Send a signature that takes the running task's place: its id, callbacks, chain and part in a chord.

    A group, whose results are many, becomes a chord that gathers them into a list.

    Args:
        app: the application.
        task: the running task.
        sig: what takes its place; it is not changed.

    Returns:
        in an eager run, the value of ``sig``; otherwise whatever ``task.on_replace`` returns.

    Raises:
        Ignore: ends the running task without a state (``Task.on_replace``).
        ImproperlyConfigured: the task was called like a function; there is no run to replace.
    """
    request = task.request
    if request.called_directly or request.id is None:
        raise ImproperlyConfigured(f"{task.name}.replace() works only in a task that a worker or apply() runs")
    new = maybe_signature(sig, app, clone=True)
    if new.kind is not None and (new.kind == "group" or new.width != 1):
        new = new | app.tasks["celery.accumulate"].s()
    for callback in request.callbacks or ():
        new.link(maybe_signature(callback, app))
    for errback in request.errbacks or ():
        new.link_error(maybe_signature(errback, app))
    options = {
        "chain": list(request.chain) if request.chain else None,
        "chord": request.chord,
        "group_id": request.group,
        "group_index": request.group_index,
        "root_id": request.root_id,
        "parent_id": request.parent_id,
        "stamps": request.stamps,
        "stamped_headers": request.stamped_headers,
        "replaced_task_nesting": (request.replaced_task_nesting or 0) + 1,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if request.is_eager:
        return new.apply().get()
    with app.producer.reply_address.instead(request.reply_to):
        new.apply_async(task_id=request.id, add_to_parent=False, **given)
    return task.on_replace(new)


def add_to_chord(app: Celery, task: Task, sig: Any, lazy: bool) -> Any:
    """Add a signature to the chord that the running task is a member of.

    Args:
        app: the application.
        task: the running task.
        sig: the new member.
        lazy: return the frozen signature instead of sending it.

    Raises:
        ValueError: the running task is no member of a chord.
        NotSupported: the backend cannot enlarge a chord.
    """
    request = task.request
    if not request.chord or request.group is None:
        raise ValueError("Current task is not member of any chord")
    if not app.backend.capabilities.chords:
        raise NotSupported(
            f"{type(app.backend).__name__} cannot add members to a chord that has been sent; make them members of the "
            "header, or replace the running task by a group"
        )
    new = maybe_signature(sig, app, clone=True)
    result = new.freeze(
        group_id=request.group, group_index=_LAST, chord=request.chord, root_id=request.root_id, parent_id=request.id
    )
    app.backend.enlarge_chord(request.group, new.width)
    if lazy:
        return new
    new.apply_async()
    return result
