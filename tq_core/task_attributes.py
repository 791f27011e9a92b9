"""What is said about a task beside its body: attributes of its class, any of which ``@app.task`` takes as an option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tq_core.errors import BrokerUnavailable, MaxRetriesExceededError

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.contracts.backend import Backend

#: An exception class, and some of them.
ExceptionClass = type[Exception]
ExceptionClasses = tuple[type[BaseException], ...]


class FromSetting:
    """An attribute that follows a setting until a class or an instance gives it a value of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, task: TaskAttributes | None, owner: type[TaskAttributes]) -> Any:
        app = owner.app if task is None else task.app
        # As an attribute: that is a look-up without a function call, and this is done several times for every task.
        return None if app is None else getattr(app.conf, self.name)


class TaskAttributes:
    """Attributes of tasks.

    Attributes:
        app: the application.
        name: the name in messages; ``module.function`` unless given.
        abstract: True for a class that is no task but the base of some.
        type: ``regular``; a program may sort its tasks by others.
        typing: check the arguments against the signature when the task is called.
        max_retries: how often :meth:`retry` may be called, None for ever.
        default_retry_delay: seconds before a retry that does not say otherwise.
        throws: exceptions that are expected: logged in one line, without traceback.
        autoretry_for: exceptions after which the task is retried by itself.
        dont_autoretry_for: exceptions among those after which it is not.
        retry_kwargs: arguments of that :meth:`retry`.
        retry_backoff: seconds before the first such retry, doubled with each further one; True is one second.
        retry_backoff_max: most seconds between such retries.
        retry_jitter: wait a random part of that time.
        time_limit: seconds after which a run is stopped from outside.
        soft_time_limit: seconds after which ``SoftTimeLimitExceeded`` is raised inside a run.
        rate_limit: most starts per second, or ``"100/m"`` and the like; None for no limit.
        rate_limit_scope: where the rate limit holds: in each ``worker``, or in the whole ``deployment``.
        ignore_result: keep no state.
        store_errors_even_if_ignored: keep a failure all the same.
        acks_late: acknowledge the message after the run instead of before.
        acks_on_failure_or_timeout: acknowledge a late message also when the run failed; otherwise it is buried.
        acks_on_failure: the same for a run that raised; None for ``acks_on_failure_or_timeout``.
        acks_on_timeout: the same for a run that took too long; None for ``acks_on_failure_or_timeout``.
        reject_on_worker_lost: deliver a late message again when the process that ran it died; otherwise the run failed.
        track_started: store STARTED when a run begins.
        send_error_emails: send the admins a mail when a run fails.
        error_whitelist: exceptions, or their names, after which no mail is sent.
        serializer: name of the serializer of the arguments.
        compression: how messages are compressed.
        priority: of the messages.
        expires: seconds, or a datetime, after which a message is not run any more.
        queue: where calls go, before routes are asked.
        exchange: where calls go, on a broker with exchanges.
        routing_key: of the messages.
        delivery_mode: 2 for messages that survive a restart of the broker, 1 for others.
        send_events: accepted for compatibility.
        resultrepr_maxsize: longest text of a result in logs, in characters.
        takes_self: the body gets the task as its first argument; set by ``bind``.
        own_backend: what was given as ``backend``: a URL, a name or an opened backend; None for the application's.
        MaxRetriesExceededError: raised by :meth:`retry` at the limit.
        OperationalError: raised by :meth:`apply_async` when the broker is away.
    """

    MaxRetriesExceededError: Any = MaxRetriesExceededError
    OperationalError: ExceptionClass = BrokerUnavailable

    app: Celery | None = None
    name: str = ""
    abstract: bool = True
    type: str = "regular"
    typing: bool = True
    max_retries: int | None = 3
    default_retry_delay: float = 180
    throws: ExceptionClasses = ()
    autoretry_for: ExceptionClasses = ()
    dont_autoretry_for: ExceptionClasses = ()
    retry_kwargs: Mapping[str, Any] = {}
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600
    retry_jitter: bool = True
    time_limit: Any = FromSetting("task_time_limit")
    soft_time_limit: Any = FromSetting("task_soft_time_limit")
    rate_limit: Any = FromSetting("task_default_rate_limit")
    rate_limit_scope: Any = FromSetting("task_rate_limit_scope")
    ignore_result: Any = FromSetting("task_ignore_result")
    store_errors_even_if_ignored: Any = FromSetting("task_store_errors_even_if_ignored")
    acks_late: Any = FromSetting("task_acks_late")
    acks_on_failure_or_timeout: Any = FromSetting("task_acks_on_failure_or_timeout")
    acks_on_failure: Any = FromSetting("task_acks_on_failure")
    acks_on_timeout: Any = FromSetting("task_acks_on_timeout")
    reject_on_worker_lost: Any = FromSetting("task_reject_on_worker_lost")
    track_started: Any = FromSetting("task_track_started")
    send_error_emails: Any = FromSetting("task_send_error_emails")
    error_whitelist: Sequence[Any] = ()
    serializer: Any = FromSetting("task_serializer")
    compression: Any = FromSetting("task_compression")
    priority: int | None = None
    expires: Any = None
    queue: Any = None
    exchange: Any = None
    routing_key: str | None = None
    delivery_mode: int | None = None
    send_events: bool = True
    resultrepr_maxsize: int = 1024
    takes_self: bool = False
    own_backend: str | Backend | None = None


def follows_setting(task: TaskAttributes, name: str) -> bool:
    """Tell whether an attribute is what a setting says, because neither the task nor its class has a value of its own.

    Args:
        task: the task.
        name: the attribute's.
    """
    if name in vars(task):
        return False
    # Not inspect.getattr_static, which takes ten times as long: this is asked for every call where there are routes.
    return isinstance(next(vars(cls)[name] for cls in type(task).__mro__ if name in vars(cls)), FromSetting)
