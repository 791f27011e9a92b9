"""What follows from failures: errbacks, and work-flows whose rest will never run."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tq_core import states
from tq_core.canvas.chain import chain
from tq_core.canvas.chord import chord
from tq_core.canvas.graph import counts_towards, stored
from tq_core.canvas.group import group
from tq_core.canvas.making import maybe_signature
from tq_core.canvas.signature import Signature
from tq_core.contracts.backend import ChordPart, ResultRecord
from tq_core.errors import ChordError, WorkflowLost
from tq_core.protocol.exception import describe_exception, rebuild_exception
from tq_core.request import Request
from tq_core.result_stores import some_apart, store
from tq_core.timeutil import now

if TYPE_CHECKING:
    from tq_core.app import Celery

logger = logging.getLogger(__name__)

#: Seconds this process may take to see to the failure of a chord it has claimed.
_LEASE = 15.0


def send_errback(app: Celery, errback: Any, request: Request, error: BaseException, traceback: str) -> None:
    """Call or send one errback of a failed run.

    A task known here whose function takes two or more positional arguments is called at once, in this thread, with
    ``(request, error, traceback)``. Any other, and an immutable signature, is sent like a task, with the failed task's
    id as its argument.

    Args:
        app: the application.
        errback: signature or its mapping.
        request: the run that failed.
        error: what it raised.
        traceback: its traceback as text.
    """
    signature = maybe_signature(errback, app)
    task = app.tasks.get(signature.task)
    if task is not None and not signature.immutable and signature.kind is None and _takes_two(task.run):
        try:
            signature(request, error, traceback)
        except Exception:  # a broken errback must not change what became of the task, nor stop the other errbacks
            logger.exception("Errback %s of %s[%s] raised", signature.task, request.task, request.id)
        return
    options = {"parent_id": request.id, "root_id": request.root_id or request.id}
    if request.is_eager:
        signature.apply((request.id,), **options)
    else:
        signature.apply_async((request.id,), **options)


class Claims:
    """Chords that somebody has claimed and not closed yet, because what follows from them has not left.

    Args:
        claimant: who claims them; the same name again, after a crash, is given its own claims again.
        lease: seconds after which others may claim them.

    Attributes:
        groups: their ids.
    """

    def __init__(self, claimant: str, lease: float) -> None:
        self.claimant = claimant
        self.lease = lease
        self.groups: list[str] = []

    def taken(self) -> list[str]:
        """Return the chords claimed since the last call."""
        groups, self.groups = self.groups, []
        return groups


def fail_unsent(
    app: Celery,
    signature: Any,
    error: BaseException,
    *,
    with_errbacks: bool = True,
    claims: Claims | None = None,
) -> None:
    """Record that a work-flow will never run: what waits for any part of it gets the error.

    Every task of it that has an id is stored as failed. Where one counts towards a chord, that part is counted as
    failed, so the failure reaches the outermost chord. What is sent goes through the application's producer, so a
    caller that collects gets it.

    Args:
        app: the application.
        signature: what will not run: a chord's body, or a step of a chain.
        error: why.
        with_errbacks: call its errbacks; False for the steps behind one whose errbacks were called.
        claims: takes the chords that are complete by this, for the caller to close when what it collects has left;
            None closes them here.

    Raises:
        BackendError: the failure could not be stored; calling again is safe.
    """
    tasks = list(_tasks_of(maybe_signature(signature, app)))
    described = describe_exception(error)
    backend = app.backend
    if backend.capabilities.stores or some_apart():
        done = now().isoformat()
        named = [(task_id, task) for task in tasks if (task_id := task.id)]
        records = [
            ResultRecord(
                task_id,
                states.FAILURE,
                described,
                date_done=done,
                group_id=task.options.get("group_id"),
                reply_to=task.options.get("reply_to") or app.producer.reply_address.current,
            )
            for task_id, task in named
        ]
        if records:
            store(app, records, [task.task for _, task in named])
    if with_errbacks:
        called: list[Any] = []
        for task in tasks:
            for errback in task.options.get("link_error") or ():
                # A chain gives the same errback to each of its steps, but it failed once.
                if errback not in called:
                    called.append(errback)
                    send_errback(app, errback, _request_of(task), error, "")
    parts = [
        (
            ChordPart(
                task.options["group_id"], task.options.get("group_index") or 0, task.id, states.FAILURE, described
            ),
            task,
        )
        for task in tasks
        if task.id and task.options.get("chord") and task.options.get("group_id")
    ]
    if parts and backend.capabilities.chords:
        _count(app, parts, claims)


def _count(app: Celery, parts: Sequence[tuple[ChordPart, Signature]], claims: Claims | None) -> None:
    backend = app.backend
    by = claims or Claims(f"{app.node}:{os.getpid()}", _LEASE)
    complete = backend.add_chord_parts([part for part, _ in parts], claimant=by.claimant, lease=by.lease)
    for group_id in complete:
        body = next(task.options["chord"] for part, task in parts if part.group_id == group_id)
        failed = next(part for part in backend.chord_parts(group_id) if part.state != states.SUCCESS)
        cause = rebuild_exception(failed.result)
        fail_unsent(app, body, ChordError(f"Dependency {failed.task_id} raised {cause!r}"), claims=claims)
        if claims is None:
            backend.close_chord(group_id)
        else:
            claims.groups.append(group_id)


def _tasks_of(signature: Signature) -> Iterator[Signature]:
    """Yield the tasks of a canvas, with what follows them in their own chain."""
    waiting = [signature]
    while waiting:
        part = waiting.pop()
        if isinstance(part, stored):
            try:
                part, added = part.found()
            except WorkflowLost:
                # Its tasks are not known any more, but what its result counts towards is.
                part.options.update(counts_towards(part))
                yield part
                continue
            part.options["chain"] = [*(added.get("chain") or ()), *(part.options.get("chain") or ())]
        # What comes next is last, as in a message.
        waiting += [maybe_signature(task) for task in part.options.get("chain") or ()]
        if isinstance(part, chord):
            waiting += [part.body, *reversed(part.tasks)]
        elif isinstance(part, chain):
            waiting += reversed(part.unchain_tasks())
        elif isinstance(part, group):
            waiting += reversed(part.tasks)
        else:
            yield part


def _request_of(task: Signature) -> Request:
    options = task.options
    return Request(
        id=task.id,
        task=task.task,
        args=task.args,
        kwargs=task.kwargs,
        called_directly=False,
        group=options.get("group_id"),
        group_index=options.get("group_index"),
        chord=options.get("chord"),
        errbacks=options.get("link_error"),
        root_id=options.get("root_id"),
        parent_id=options.get("parent_id"),
    )


def _takes_two(function: Callable[..., Any]) -> bool:
    """Tell whether a function takes more than one positional argument."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters)
