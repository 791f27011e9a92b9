"""Celery's signals: named moments a program can connect functions to.

Sending a signal nobody listens to costs one attribute look-up; a receiver that raises is logged and the others
are called all the same.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

Receiver = Callable[..., Any]


class Signal:
    """One moment.

    Attributes:
        name: the signal's name.
        providing_args: names of the keyword arguments its receivers get, beside ``signal`` and ``sender``.
        receivers: who listens now, as ``(reference, sender, identity)``; empty when nobody does. Read it to skip the
            work
            of preparing arguments.
    """

    __slots__ = ("_lock", "name", "providing_args", "receivers")

    def __init__(self, name: str, providing_args: tuple[str, ...] = ()) -> None:
        self.name = name
        self.providing_args = frozenset(providing_args)
        self.receivers: tuple[tuple[Callable[[], Receiver | None], Any, Any], ...] = ()
        self._lock = threading.Lock()

    def connect(
        self,
        receiver: Receiver | None = None,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> Any:
        """Call ``receiver`` whenever the signal is sent; usable as a decorator with or without arguments.

        Args:
            receiver: takes the signal's keyword arguments (and should take ``**kwargs``).
            sender: only for this sender; a task may be given by its name or as the object.
            weak: keep no reference of our own, so that a receiver that goes away stops listening.
            dispatch_uid: connects at most one receiver under this identity.
            retry: accepted for compatibility; a failing receiver is logged, not repeated.
        """
        if receiver is None:
            return lambda function: self.connect(function, sender, weak, dispatch_uid)
        reference: Callable[[], Receiver | None]
        if not weak:
            reference = _strong(receiver)
        elif hasattr(receiver, "__self__"):
            reference = weakref.WeakMethod(receiver)
        else:
            reference = weakref.ref(receiver)
        identity = dispatch_uid if dispatch_uid is not None else _identity(receiver)
        with self._lock:
            kept = tuple(r for r in self.receivers if not (r[2] == identity and r[1] is sender))
            self.receivers = (*kept, (reference, sender, identity))
        return receiver

    def disconnect(
        self,
        receiver: Receiver | None = None,
        sender: Any = None,
        weak: bool | None = None,
        dispatch_uid: Any = None,
    ) -> bool:
        """Stop calling a receiver; False when it was not connected."""
        identity = dispatch_uid if dispatch_uid is not None else _identity(receiver)
        with self._lock:
            kept = tuple(r for r in self.receivers if not (r[2] == identity and (sender is None or r[1] is sender)))
            found = len(kept) != len(self.receivers)
            self.receivers = kept
        return found

    def has_listeners(self, sender: Any = None) -> bool:
        """Tell whether anybody listens to this sender."""
        return any(_wanted(wanted, sender) for _, wanted, _ in self.receivers)

    def send(self, sender: Any, **named: Any) -> list[tuple[Receiver, Any]]:
        """Call every receiver and return what each returned, or the exception it raised."""
        answers: list[tuple[Receiver, Any]] = []
        for reference, wanted, _ in self.receivers:
            if not _wanted(wanted, sender):
                continue
            receiver = reference()
            if receiver is None:
                self._forget_dead()
                continue
            try:
                answers.append((receiver, receiver(signal=self, sender=sender, **named)))
            except Exception as error:  # a listener's failure must not change what it listens to
                logger.exception("Signal handler %r raised: %r", receiver, error)
                answers.append((receiver, error))
        return answers

    send_robust = send

    def _forget_dead(self) -> None:
        with self._lock:
            self.receivers = tuple(r for r in self.receivers if r[0]() is not None)

    def __repr__(self) -> str:
        return f"<Signal: {self.name} providing_args={sorted(self.providing_args)}>"


def _strong(receiver: Receiver) -> Callable[[], Receiver]:
    return lambda: receiver


def _identity(receiver: Any) -> Any:
    if hasattr(receiver, "__self__"):
        return (id(receiver.__self__), id(receiver.__func__))
    return id(receiver)


def _wanted(wanted: Any, sender: Any) -> bool:
    if wanted is None or wanted is sender:
        return True
    return isinstance(wanted, str) and wanted == getattr(sender, "name", sender)


before_task_publish = Signal(
    "before_task_publish",
    ("body", "exchange", "routing_key", "headers", "properties", "declare", "retry_policy"),
)
after_task_publish = Signal("after_task_publish", ("body", "exchange", "routing_key"))
task_sent = Signal("task_sent", ("task_id", "task", "args", "kwargs", "eta", "taskset"))
task_received = Signal("task_received", ("request",))
task_prerun = Signal("task_prerun", ("task_id", "task", "args", "kwargs"))
task_postrun = Signal("task_postrun", ("task_id", "task", "args", "kwargs", "retval", "state"))
task_success = Signal("task_success", ("result",))
task_retry = Signal("task_retry", ("request", "reason", "einfo"))
task_failure = Signal("task_failure", ("task_id", "exception", "args", "kwargs", "traceback", "einfo"))
task_internal_error = Signal(
    "task_internal_error", ("task_id", "args", "kwargs", "request", "exception", "traceback", "einfo")
)
task_revoked = Signal("task_revoked", ("request", "terminated", "signum", "expired"))
task_rejected = Signal("task_rejected", ("message", "exc"))
task_unknown = Signal("task_unknown", ("message", "exc", "name", "id"))
import_modules = Signal("import_modules")
celeryd_init = Signal("celeryd_init", ("instance", "conf", "options"))
celeryd_after_setup = Signal("celeryd_after_setup", ("instance", "conf"))
worker_init = Signal("worker_init")
worker_before_create_process = Signal("worker_before_create_process")
worker_process_init = Signal("worker_process_init")
worker_process_shutdown = Signal("worker_process_shutdown", ("pid", "exitcode"))
worker_ready = Signal("worker_ready")
worker_shutting_down = Signal("worker_shutting_down", ("sig", "how", "exitcode"))
worker_shutdown = Signal("worker_shutdown")
heartbeat_sent = Signal("heartbeat_sent")
beat_init = Signal("beat_init")
beat_embedded_init = Signal("beat_embedded_init")
eventlet_pool_started = Signal("eventlet_pool_started")
eventlet_pool_preshutdown = Signal("eventlet_pool_preshutdown")
eventlet_pool_postshutdown = Signal("eventlet_pool_postshutdown")
eventlet_pool_apply = Signal("eventlet_pool_apply", ("target", "args", "kwargs"))
setup_logging = Signal("setup_logging", ("loglevel", "logfile", "format", "colorize"))
after_setup_logger = Signal("after_setup_logger", ("logger", "loglevel", "logfile", "format", "colorize"))
after_setup_task_logger = Signal("after_setup_task_logger", ("logger", "loglevel", "logfile", "format", "colorize"))
user_preload_options = Signal("user_preload_options", ("app", "options"))
