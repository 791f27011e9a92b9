"""Running one task: body, handlers and signals, and the one outcome that comes of it.

Used by the runner and by eager calls, so that both behave alike.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from time import monotonic
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any

from tq_core import current, signals
from tq_core.errors import Ignore, Reject, Retry, SoftTimeLimitExceeded, Terminated
from tq_core.exception_info import ExceptionInfo
from tq_core.outcome import Failed, Ignored, Outcome, Rejected, Retried, Revoked, Succeeded
from tq_core.retry import backoff
from tq_core.task import Task

if TYPE_CHECKING:
    from tq_core.request import Request

logger = logging.getLogger(__name__)


class TaskPlan:
    """What is looked up once about a task so that its runs need not.

    Attributes:
        task: the task.
        name: its registered name.
        call: what runs the body.
        is_coroutine: True for ``async def``.
        before_start, on_success, on_failure, on_retry, after_return: the handlers somebody wrote, else None.
    """

    __slots__ = (
        "after_return",
        "before_start",
        "call",
        "is_coroutine",
        "name",
        "on_failure",
        "on_retry",
        "on_success",
        "task",
    )

    def __init__(self, task: Task) -> None:
        self.task = task
        self.name = task.name
        self.is_coroutine = inspect.iscoroutinefunction(task.run)
        own_call = type(task).__call__ is not Task.__call__
        self.call: Callable[..., Any] = task if own_call else task.run
        self.before_start = _written(task, "before_start")
        self.on_success = _written(task, "on_success")
        self.on_failure = _written(task, "on_failure")
        self.on_retry = _written(task, "on_retry")
        self.after_return = _written(task, "after_return")


def _written(task: Task, handler: str) -> Callable[..., Any] | None:
    method: Callable[..., Any] = getattr(task, handler)
    return None if getattr(method, "__func__", None) is getattr(Task, handler) else method


class Guard:
    """Says where a run can be interrupted, so that an interrupt strikes nothing else.

    Attributes:
        interruptible: the task's own code runs now.
        throw: raises an error where the task's coroutine awaits; None while there is none. From any thread.
    """

    __slots__ = ("interruptible", "throw")

    def __init__(self) -> None:
        self.interruptible = False
        self.throw: Callable[[type[BaseException]], None] | None = None


def trace(plan: TaskPlan, request: Request, guard: Any) -> Outcome:
    """Run a task in the calling thread and say how it ended; never raises.

    Args:
        plan: the task.
        request: the run; it becomes the task's ``self.request``.
        guard: a :class:`Guard`, or a job with the same attributes.
    """
    started = monotonic()
    token = current.running.set(request)
    try:
        outcome = _run_body(plan, request, guard, started)
        _announce(plan, request, outcome)
        return outcome
    except BaseException as error:  # an interrupt that struck between the body's end and its bookkeeping
        announce_internal_error(plan, request, error)
        return _failed(plan, request, error, started)
    finally:
        guard.interruptible = False
        current.running.reset(token)


async def trace_coroutine(plan: TaskPlan, request: Request, guard: Any) -> Outcome:
    """Run an ``async def`` task in the running loop and say how it ended; never raises.

    As :func:`trace`; to be called in an asyncio task of its own, whose context is the run's.
    """
    from tq_core.coroutines import Steering

    started = monotonic()
    token = current.running.set(request)
    try:
        try:
            _prepare(plan, request, guard)
            value = await Steering(guard).steer(plan.call(*request.args, **request.kwargs))
            outcome: Outcome = Succeeded(value, monotonic() - started)
        except BaseException as error:
            guard.interruptible = False
            outcome = _ended_by(plan, request, error, started)
        _announce(plan, request, outcome)
        return outcome
    except BaseException as error:
        announce_internal_error(plan, request, error)
        return _failed(plan, request, error, started)
    finally:
        current.running.reset(token)


def _run_body(plan: TaskPlan, request: Request, guard: Any, started: float) -> Outcome:
    try:
        _prepare(plan, request, guard)
        value = plan.call(*request.args, **request.kwargs)
        if plan.is_coroutine:
            from tq_core.coroutines import run_here  # asyncio is heavy, and nothing to tasks that are plain functions

            value = run_here(value, guard)
        elif isinstance(value, _UNFINISHED):
            raise _unfinished(plan, value)
        guard.interruptible = False
        return Succeeded(value, monotonic() - started)
    except BaseException as error:
        guard.interruptible = False
        return _ended_by(plan, request, error, started)


def _prepare(plan: TaskPlan, request: Request, guard: Any) -> None:
    task, args, kwargs = plan.task, request.args, request.kwargs
    if signals.task_prerun.receivers:
        signals.task_prerun.send(task, task_id=request.id, task=task, args=args, kwargs=kwargs)
    guard.interruptible = True
    if plan.before_start is not None:
        plan.before_start(request.id, args, kwargs)


def _ended_by(plan: TaskPlan, request: Request, error: BaseException, started: float) -> Outcome:
    """Return what an exception of the body makes of the run; sys.exit() and the like end the task, not the worker."""
    if isinstance(error, Retry):
        return Retried(error, _info(error).traceback, monotonic() - started)
    if isinstance(error, Ignore):
        return Ignored(monotonic() - started)
    if isinstance(error, Reject):
        return Rejected(str(error.reason or "rejected by the task"), error.requeue, monotonic() - started)
    if isinstance(error, Terminated):
        return Revoked("terminated", monotonic() - started)
    task = plan.task
    if task.autoretry_for and isinstance(error, task.autoretry_for):
        retried = _retry_automatically(plan, request, error, started)
        if retried is not None:
            return retried
    return _failed(plan, request, error, started)


#: What a function returns that has not done its work yet.
_UNFINISHED = (CoroutineType, AsyncGeneratorType)


def _unfinished(plan: TaskPlan, value: Any) -> TypeError:
    if isinstance(value, CoroutineType):
        value.close()
        return TypeError(
            f"Task {plan.name} is a plain function but returned a coroutine, which nobody awaits: define the task, and "
            "each decorator around it, with 'async def'"
        )
    return TypeError(
        f"Task {plan.name} is an asynchronous generator. A task returns one value: collect what it yields into a list, "
        "and return that"
    )


def _failed(plan: TaskPlan, request: Request, error: BaseException, started: float) -> Failed:
    return Failed(error, _info(error).traceback, monotonic() - started)


#: Modules whose frames stand between a run's begin and the task's own code.
_OURS = frozenset({"tq_core.tracing", "tq_core.coroutines"})


def _info(error: BaseException) -> ExceptionInfo:
    """Return an exception with its traceback from the task's own code on."""
    frames = 0
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_globals.get("__name__") in _OURS:
        frames, tb = frames + 1, tb.tb_next
    return ExceptionInfo(error, frames)


def _retry_automatically(plan: TaskPlan, request: Request, error: BaseException, started: float) -> Outcome | None:
    """Ask for the retry that ``autoretry_for`` promises; None when the error is to stand."""
    task = plan.task
    if task.dont_autoretry_for and isinstance(error, task.dont_autoretry_for):
        return None
    options = dict(task.retry_kwargs)
    if task.retry_backoff:
        options["countdown"] = backoff(
            float(task.retry_backoff), request.retries, task.retry_backoff_max, task.retry_jitter
        )
    try:
        if isinstance(error, Exception):
            task.retry(exc=error, **options)
    except Retry as retry:
        return Retried(retry, _info(error).traceback, monotonic() - started)
    except BaseException as final:  # the limit is reached: the error itself, or MaxRetriesExceededError
        return _failed(plan, request, final, started)
    return None


def _announce(plan: TaskPlan, request: Request, outcome: Outcome) -> None:
    """Call the handlers and signals of an outcome; none of them can change it."""
    task, task_id, args, kwargs = plan.task, request.id, request.args, request.kwargs
    value: Any = None
    info: ExceptionInfo | None = None
    if isinstance(outcome, Succeeded):
        value = outcome.value
        if plan.on_success is not None:
            _handle(plan.on_success, value, task_id, args, kwargs)
        if signals.task_success.receivers:
            signals.task_success.send(task, result=value, runtime=outcome.runtime)
    elif isinstance(outcome, Retried):
        value = outcome.error
        info = ExceptionInfo(outcome.error.exc or outcome.error, text=outcome.traceback)
        if plan.on_retry is not None:
            _handle(plan.on_retry, info.exception, task_id, args, kwargs, info)
        if signals.task_retry.receivers:
            signals.task_retry.send(task, request=request, reason=outcome.error, einfo=info)
    elif isinstance(outcome, Failed):
        value = outcome.error
        info = announce_failure(plan, request, outcome)
    if plan.after_return is not None:
        _handle(plan.after_return, outcome.state, value, task_id, args, kwargs, info)
    if signals.task_postrun.receivers:
        signals.task_postrun.send(
            task, task_id=task_id, task=task, args=args, kwargs=kwargs, retval=value, state=outcome.state
        )


def announce_failure(plan: TaskPlan, request: Request, outcome: Failed) -> ExceptionInfo:
    """Call the failure handler and signal, also for a task that failed without raising (lost, stopped)."""
    info = ExceptionInfo(outcome.error, 1, text=outcome.traceback)
    args, kwargs = request.args, request.kwargs
    if plan.on_failure is not None:
        _handle(plan.on_failure, outcome.error, request.id, args, kwargs, info)
    if signals.task_failure.receivers:
        signals.task_failure.send(
            plan.task,
            task_id=request.id,
            exception=outcome.error,
            args=args,
            kwargs=kwargs,
            traceback=info.tb,
            einfo=info,
        )
    if plan.task.send_error_emails and not request.is_eager:
        from tq_core.error_mail import report_failure  # the mail client is for those who want mails

        report_failure(plan.task, request, outcome.error, info.traceback)
    return info


def announce_internal_error(plan: TaskPlan, request: Request, error: BaseException) -> None:
    """Send the signal of an error that came from outside of the task's own code."""
    if signals.task_internal_error.receivers:
        info = ExceptionInfo(error)
        signals.task_internal_error.send(
            plan.task,
            task_id=request.id,
            args=request.args,
            kwargs=request.kwargs,
            request=dict(vars(request)),
            exception=error,
            traceback=info.tb,
            einfo=info,
        )


def announce_revoked(plan: TaskPlan, request: Request, outcome: Revoked) -> None:
    """Send the signal of a task that is not run, or whose run was terminated."""
    if signals.task_revoked.receivers:
        signals.task_revoked.send(
            plan.task,
            request=request,
            terminated=outcome.reason == "terminated",
            signum=outcome.signum,
            expired=outcome.reason == "expired",
        )


def _handle(handler: Callable[..., Any], *args: Any) -> None:
    try:
        handler(*args)
    except (SoftTimeLimitExceeded, Exception) as error:  # a handler's failure must not change the outcome
        logger.exception("Handler %r raised: %r", getattr(handler, "__qualname__", handler), error)
