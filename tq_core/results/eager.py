"""Running a task in the caller's own process, as a worker would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tq_core import current, states
from tq_core.canvas.errbacks import send_errback
from tq_core.contracts.backend import ResultRecord
from tq_core.ids import new_id
from tq_core.outcome import Failed, Outcome, Rejected, Retried, Succeeded
from tq_core.protocol.exception import describe_exception
from tq_core.request import Request
from tq_core.result_stores import backend_of
from tq_core.results.async_result import AsyncResult
from tq_core.timeutil import now
from tq_core.type_variables import R_co

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.task import Task


class EagerResult(AsyncResult[R_co]):
    """The result of a task that has already run here.

    Args:
        id: the task's id.
        ret_value: what it returned or raised.
        state: how it ended.
        traceback: text, or None.
        name: name of the task.
        app: the application.
        children: results of what it sent.
    """

    __slots__ = ("_children",)

    _blocks = False

    def __init__(
        self,
        id: str,
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
        app: Celery | None = None,
        children: Sequence[Any] = (),
    ) -> None:
        super().__init__(id, task_name=name, app=app)
        self._children = list(children)
        done = now().isoformat()
        self._record = ResultRecord(id, state, ret_value, traceback, date_done=done, extended={"name": name})

    @property
    def children(self) -> list[Any]:
        """Results of the tasks it has sent."""
        return self._children

    def _raise_of(self, record: ResultRecord) -> None:
        # The exception is the task's own, with its traceback: it needs no other as its cause.
        if record.state in states.PROPAGATE_STATES:
            raise record.result if isinstance(record.result, BaseException) else Exception(record.result)

    def forget(self) -> None:
        """Do nothing: nothing is kept elsewhere."""

    def revoke(self, *args: Any, **kwargs: Any) -> None:
        """Mark it as revoked."""
        kept = self._kept()
        self._record = replace(kept, state=states.REVOKED)

    def _kept(self) -> ResultRecord:
        assert self._record is not None
        return self._record

    def __reduce__(self) -> Any:
        kept = self._kept()
        return (EagerResult, (self.id, kept.result, kept.state, kept.traceback, self.task_name))

    def __repr__(self) -> str:
        return f"<EagerResult: {self.id}>"


def apply_eagerly(
    app: Celery,
    task: Task,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    *,
    task_id: str | None = None,
    link: Any = None,
    link_error: Any = None,
    retries: int = 0,
    throw: bool | None = None,
    **options: Any,
) -> EagerResult:
    """Run a task here and now, with its handlers, retries and callbacks, and return its result.

    With ``task_always_eager`` the arguments take the way through the serializer, so that what would not survive a
    message does not survive here either. Retries follow at once, without their delay.

    Args:
        app: the application.
        task: the task.
        args, kwargs: its arguments.
        task_id: an id of your own.
        link, link_error: signatures to run after success, or failure.
        retries: how often it counts as retried already.
        throw: raise its exception instead of returning a failed result; ``task_eager_propagates`` by default.
        **options: as for ``apply_async``.

    Raises:
        EncodeError: with ``task_always_eager``, the arguments cannot be serialized.
    """
    from tq_core.tracing import Guard, TaskPlan, trace  # tracing imports the task, which leads back here

    request = _request_of_call(app, task, args, kwargs, task_id, retries, link, link_error, options)
    plan = TaskPlan(task)
    outcome: Outcome = trace(plan, request, Guard())
    while isinstance(outcome, Retried):
        _repeat(request, outcome)
        outcome = trace(plan, request, Guard())
    return _concluded(app, task, request, outcome, throw)


async def aapply_eagerly(
    app: Celery,
    task: Task,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    *,
    task_id: str | None = None,
    link: Any = None,
    link_error: Any = None,
    retries: int = 0,
    throw: bool | None = None,
    **options: Any,
) -> EagerResult:
    """As :func:`apply_eagerly`, but a coroutine task runs in the running loop, where its caller's clients are usable.

    Its callbacks run like any eager call.
    """
    import asyncio

    from tq_core.tracing import Guard, TaskPlan, trace_coroutine

    plan = TaskPlan(task)
    if not plan.is_coroutine:
        return apply_eagerly(
            app,
            task,
            args,
            kwargs,
            task_id=task_id,
            link=link,
            link_error=link_error,
            retries=retries,
            throw=throw,
            **options,
        )
    request = _request_of_call(app, task, args, kwargs, task_id, retries, link, link_error, options)
    outcome = await trace_coroutine(plan, request, Guard())
    while isinstance(outcome, Retried):
        _repeat(request, outcome)
        outcome = await trace_coroutine(plan, request, Guard())
    if isinstance(outcome, Failed) and isinstance(outcome.error, asyncio.CancelledError):
        raise outcome.error  # it was the caller who was cancelled, in the middle of the task
    return _concluded(app, task, request, outcome, throw)


def _request_of_call(
    app: Celery,
    task: Task,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    task_id: str | None,
    retries: int,
    link: Any,
    link_error: Any,
    options: Mapping[str, Any],
) -> Request:
    given_args, given_kwargs = tuple(args or ()), dict(kwargs or {})
    if app.conf.task_always_eager:
        given_args, given_kwargs = _through_serializer(app, task, given_args, given_kwargs, options)
    return _request(task, given_args, given_kwargs, task_id, retries, link, link_error, options)


def _repeat(request: Request, retried: Retried) -> None:
    """Make a request that of its next run."""
    again = retried.error.sig
    if again is not None:
        request.args, request.kwargs = tuple(again.args), dict(again.kwargs)
    request.retries += 1


def _concluded(app: Celery, task: Task, request: Request, outcome: Outcome, throw: bool | None) -> EagerResult:
    """Do what follows from an outcome and return the result."""
    if app.conf.task_store_eager_result:
        _store(app, request, outcome)
    result = _result(app, task, request, outcome)
    _follow_up(app, request, outcome)
    if isinstance(outcome, Failed) and (app.conf.task_eager_propagates if throw is None else throw):
        raise outcome.error
    return result


def _request(
    task: Task,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    task_id: str | None,
    retries: int,
    link: Any,
    link_error: Any,
    options: Mapping[str, Any],
) -> Request:
    own_id = task_id or options.get("task_id") or new_id()
    parent = current.running.get()
    return Request(
        id=own_id,
        task=task.name,
        task_object=task,
        outer=parent,
        args=args,
        kwargs=kwargs,
        retries=retries,
        is_eager=True,
        called_directly=False,
        callbacks=_as_list(link),
        errbacks=_as_list(link_error),
        chain=options.get("chain"),
        chord=options.get("chord"),
        group=options.get("group_id"),
        group_index=options.get("group_index"),
        root_id=options.get("root_id") or (parent.root_id if parent is not None else None) or own_id,
        parent_id=options.get("parent_id") or (parent.id if parent is not None else None),
        headers=options.get("headers"),
        ignore_result=options.get("ignore_result", False),
        stamps=options.get("stamps"),
        stamped_headers=options.get("stamped_headers"),
        correlation_id=own_id,
        delivery_info={
            "is_eager": True,
            "exchange": options.get("exchange"),
            "routing_key": options.get("routing_key"),
            "priority": options.get("priority"),
        },
    )


def _through_serializer(
    app: Celery, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    name = options.get("serializer") or task.serializer or app.conf.task_serializer
    serializer = app.serializers.get(name)
    read_args, read_kwargs = serializer.loads(serializer.dumps([args, kwargs]))
    return tuple(read_args), dict(read_kwargs)


def _result(app: Celery, task: Task, request: Request, outcome: Outcome) -> EagerResult:
    value: Any = None
    traceback: str | None = None
    if isinstance(outcome, Succeeded):
        value = outcome.value
    elif isinstance(outcome, Failed):
        value, traceback = outcome.error, outcome.traceback
    elif isinstance(outcome, Rejected):
        value = outcome.reason
    assert request.id is not None
    return EagerResult(request.id, value, outcome.state, traceback, task.name, app, request.children or ())


def _follow_up(app: Celery, request: Request, outcome: Outcome) -> None:
    """Run the callbacks, or call the errbacks, of a run that has ended."""
    token = current.running.set(request)
    try:
        if isinstance(outcome, Succeeded):
            for callback in request.callbacks or ():
                app.signature(callback).apply((outcome.value,))
            rest = list(request.chain or ())
            if rest:
                following = app.signature(rest.pop())
                following.apply((outcome.value,), **({"chain": rest} if rest else {}))
        elif isinstance(outcome, Failed):
            for errback in request.errbacks or ():
                send_errback(app, errback, request, outcome.error, outcome.traceback)
    finally:
        current.running.reset(token)


def _store(app: Celery, request: Request, outcome: Outcome) -> None:
    result: Any = None
    if isinstance(outcome, Succeeded):
        result = outcome.value
    elif isinstance(outcome, Failed):
        result = describe_exception(outcome.error)
    else:
        return
    assert request.id is not None
    traceback = getattr(outcome, "traceback", None)
    record = ResultRecord(request.id, outcome.state, result, traceback, date_done=now().isoformat())
    backend_of(app, request.task).store([record])


def _as_list(value: Any) -> list[Any] | None:
    if value is None:
        return None
    return list(value) if isinstance(value, (list, tuple)) else [value]
