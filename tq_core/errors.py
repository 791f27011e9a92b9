"""Every error tq raises, in one tree.

A class's docstring is its default text: an error raised without arguments says that sentence. Whatever a
handler may want to look at is a field of the error, not a part of its text. Plugins translate the errors of
their client libraries into these at their own door, so that nobody above has to know redis-py or SQLAlchemy.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime
from typing import Any


class TQError(Exception):
    """Something in tq went wrong."""

    def __str__(self) -> str:
        text = super().__str__()
        return text or (type(self).__doc__ or type(self).__name__).strip().splitlines()[0]


#: The name Celery programs catch.
CeleryError = TQError


# --- configuration and plugins ---------------------------------------------------------------------------


class ImproperlyConfigured(TQError):
    """The configuration cannot be used as it stands."""


class PluginError(TQError):
    """A plugin cannot be used."""


class PluginNotFound(PluginError):
    """No installed distribution offers this name."""


class PluginConflict(PluginError):
    """Two installed distributions claim one name."""


class PluginBroken(PluginError):
    """A plugin raised an error while it was loaded or opened."""


class PluginIncompatible(PluginError):
    """A plugin was built for another version of tq's contracts."""


class PluginDisabled(PluginError):
    """The plugin is switched off by the configuration."""


class NotSupported(TQError):
    """The chosen plugin does not have the capability this needs."""


# --- broker ----------------------------------------------------------------------------------------------


class BrokerError(TQError):
    """The broker refused or could not do what was asked."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached, or did not answer in time."""


class PublishError(BrokerError):
    """The broker did not take every message.

    Attributes:
        unsent: ids of the messages that are not known to be in the broker.
        maybe_sent: True when the connection broke after sending, so that the broker may have taken them all
            the same; sending again may then run a task twice.
    """

    def __init__(self, text: str = "", *, unsent: Sequence[str] = (), maybe_sent: bool = False) -> None:
        super().__init__(*([text] if text else []))
        self.unsent = tuple(unsent)
        self.maybe_sent = maybe_sent


#: The name Celery programs catch around ``delay()`` when the broker is away.
OperationalError = BrokerUnavailable


class QueueNotFound(BrokerError, KeyError):
    """A task was routed to a queue that is not defined, and missing queues are not to be created."""

    __str__ = TQError.__str__


# --- results ---------------------------------------------------------------------------------------------


class BackendError(TQError):
    """The result backend refused or could not do what was asked."""


class BackendUnavailable(BackendError):
    """The result backend cannot be reached, or did not answer in time."""


#: The two names Celery programs catch.
BackendStoreError = BackendError
BackendGetMetaError = BackendError


class TimeoutError(TQError, builtins.TimeoutError):  # Celery's own name for it
    """The operation did not finish in the time given."""


class IncompleteStream(TQError):
    """The stream of results ended before every result was there."""


class ChordError(TQError):
    """A task of the chord's header failed, so the body does not run."""


class WorkflowLost(TQError):
    """The rest of a work-flow is not in the result backend any more, so it does not run."""


# --- serialization ---------------------------------------------------------------------------------------


class SerializationError(TQError):
    """A value cannot be put into, or read from, its serialized form."""


class EncodeError(SerializationError):
    """A value cannot be serialized."""


class DecodeError(SerializationError):
    """Serialized data cannot be read."""


class ContentDisallowed(SerializationError):
    """The content type is not in ``accept_content``."""


class MessageTooLarge(DecodeError):
    """A message is larger than the configured limit."""


class InvalidMessage(TQError):
    """A message does not have the form of a task message."""


class SecurityError(TQError):
    """A signed message could not be verified."""


# --- what a task may raise to decide its own ending ------------------------------------------------------


class TaskPredicate(TQError):
    """The task decided its own ending."""


class Ignore(TaskPredicate):
    """No state is to be stored for this run."""


class Reject(TaskPredicate):
    """The message is to be refused; it goes to the dead letters unless it is requeued.

    Attributes:
        reason: why, kept with the dead letter.
        requeue: True puts the message back into its queue instead.
    """

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue

    def __str__(self) -> str:
        return f"reject requeue={self.requeue}: {self.reason}"


class Retry(TaskPredicate):
    """The task is to run again.

    Attributes:
        message: a sentence for the log, or None.
        exc: the exception that made the task ask for it, or None.
        when: seconds from now, an absolute datetime, or None for at once.
        sig: the signature of the next run, once it has been made.
    """

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | str | None = None,
        when: float | datetime | None = None,
        is_eager: bool = False,
        sig: Any = None,
    ) -> None:
        super().__init__(message, exc, when)
        self.message = message
        self.exc = exc if isinstance(exc, BaseException) else None
        self.excs = repr(exc) if isinstance(exc, BaseException) else exc
        self.when = when
        self.is_eager = is_eager
        self.sig = sig

    def humanize(self) -> str:
        """Say in words when the next run is due."""
        if isinstance(self.when, (int, float)):
            return f"in {self.when:g}s"
        return f"at {self.when}"

    def __str__(self) -> str:
        if self.message:
            return self.message
        return f"Retry {self.humanize()}" + (f": {self.excs}" if self.excs else "")


#: The name in the oldest API.
RetryTaskError = Retry


# --- how a task may end badly ----------------------------------------------------------------------------


class TaskError(TQError):
    """A task ended badly."""


class NotRegistered(TaskError, KeyError):
    """The worker knows no task of this name."""

    def __repr__(self) -> str:
        return f"Task of kind {self} never registered, please make sure it's imported."

    __str__ = TQError.__str__


class AlreadyRegistered(TaskError):
    """A task of this name is already registered."""


class MaxRetriesExceededError(TaskError):
    """The task was retried as often as it may be.

    Attributes:
        task_args: positional arguments of the run that gave up.
        task_kwargs: keyword arguments of that run.
    """

    def __init__(self, *args: Any, task_args: Sequence[Any] = (), task_kwargs: Any = None) -> None:
        super().__init__(*args)
        self.task_args = task_args
        self.task_kwargs = {} if task_kwargs is None else task_kwargs


#: The name in the oldest documentation.
MaxRetriesExceeded = MaxRetriesExceededError


class TaskRevokedError(TaskError):
    """The task was revoked."""


class InvalidTaskError(TaskError, InvalidMessage):
    """The task message is malformed."""


class TimeLimitExceeded(TaskError):
    """The task ran longer than its hard time limit and was stopped."""


class SoftTimeLimitExceeded(Exception):
    """The task ran longer than its soft time limit.

    Raised inside the running task, which may catch it to clean up. Deliberately outside the tree, so that a
    task's ``except TQError`` does not swallow it.
    """

    def __str__(self) -> str:
        return f"SoftTimeLimitExceeded{self.args!r}"


class WorkerLostError(TaskError):
    """The process that ran the task died before the task ended."""


class Terminated(TaskError):
    """The task was cancelled while it ran."""


class UnpickleableExceptionWrapper(TaskError):
    """Stands in for an exception that cannot be serialized.

    Attributes:
        exc_module: module of the original class.
        exc_cls_name: name of the original class.
        exc_args: its arguments, as texts where they could not be kept.
        text: what is shown.
    """

    def __init__(self, exc_module: str, exc_cls_name: str, exc_args: Sequence[Any], text: str = "") -> None:
        super().__init__(exc_module, exc_cls_name, exc_args, text)
        self.exc_module = exc_module
        self.exc_cls_name = exc_cls_name
        self.exc_args = exc_args
        self.text = text or f"{exc_cls_name}({', '.join(map(repr, exc_args))})"

    def __str__(self) -> str:
        return self.text


class WorkerShutdown(SystemExit):
    """Asks the worker to finish what it runs and stop."""


class WorkerTerminate(SystemExit):
    """Asks the worker to stop at once."""
