"""Signals: named moments to which a program connects functions of its own.

A place that sends one asks ``if signal.receivers`` first, so that a moment nobody listens to costs one look at an
attribute. Any thread may connect, disconnect and send; a receiver is called in the thread that sends.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

logger = logging.getLogger(__name__)

Receiver = Callable[..., Any]


class Connection(NamedTuple):
    """One receiver of a signal.

    Attributes:
        identity: names the receiver; one connection for each identity and sender.
        sender: only for this sender; None for every one.
        reference: returns the function to call, or None when it has gone.
    """

    identity: Any
    sender: Any
    reference: Callable[[], Receiver | None]


class Signal:
    """One moment.

    Args:
        providing_args: names of the keyword arguments its receivers get, beside ``signal`` and ``sender``.
        use_caching: accepted for compatibility.
        name: the signal's name.
        description: when it is sent, in one sentence.
        sender: what its receivers get as ``sender``.
        process: where it is sent, and so where its receivers run.

    Attributes:
        receivers: who listens now; empty when nobody does.
    """

    __slots__ = ("_lock", "description", "name", "process", "providing_args", "receivers", "sender")

    def __init__(
        self,
        providing_args: Iterable[str] | None = None,
        use_caching: bool = False,
        name: str | None = None,
        *,
        description: str = "",
        sender: str = "",
        process: str = "",
    ) -> None:
        self.name = name
        self.providing_args = tuple(providing_args or ())
        self.description = description
        self.sender = sender
        self.process = process
        self.receivers: tuple[Connection, ...] = ()
        self._lock = threading.Lock()

    def connect(
        self,
        receiver: Any = None,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> Any:
        """Call a function whenever the signal is sent; a decorator with and without arguments, too.

        A second connection of the same receiver, or under the same ``dispatch_uid``, to the same sender changes
        nothing.

        Args:
            receiver: takes the signal's keyword arguments, and ``**kwargs`` for those it does not know.
            sender: only for this sender: the object itself, its name, or its class. A task is known by its name
                also where the name alone is sent.
            weak: keep no reference of our own, so that a receiver that goes away stops listening.
            dispatch_uid: a name of the connection.
            retry: call the receiver again, after 2 to 30 seconds, until it raises nothing; the sending thread waits
                meanwhile. Such a receiver is kept, whatever ``weak`` says.

        Returns:
            the receiver, or the decorator.

        Raises:
            ValueError: the receiver takes no keyword arguments.
        """
        if not callable(receiver):
            # As Celery has it, @signal.connect("tasks.add") names a sender.
            only = sender if receiver is None else receiver
            return lambda function: self.connect(function, only, weak, dispatch_uid, retry)
        _check_keywords(receiver)
        identity = _identity(receiver, dispatch_uid)
        reference = _strong(_Persistent(receiver)) if retry else _reference(receiver, weak)
        with self._lock:
            living = self._living()
            if not any(one.identity == identity and _same(one.sender, sender) for one in living):
                living = (*living, Connection(identity, sender, reference))
            self.receivers = living
        return receiver

    def disconnect(
        self, receiver: Receiver | None = None, sender: Any = None, weak: bool | None = None, dispatch_uid: Any = None
    ) -> bool:
        """Take back one connection.

        Args:
            receiver: as it was connected; not needed with ``dispatch_uid``.
            sender: as it was connected.
            weak: has no effect.
            dispatch_uid: as it was connected.

        Returns:
            False when there was no such connection.
        """
        identity = _identity(receiver, dispatch_uid)
        with self._lock:
            living = self._living()
            self.receivers = tuple(one for one in living if one.identity != identity or not _same(one.sender, sender))
            return len(self.receivers) < len(living)

    def has_listeners(self, sender: Any = None) -> bool:
        """Tell whether a receiver would be called for this sender."""
        return any(_wanted(one.sender, sender) and one.reference() is not None for one in self.receivers)

    def send(self, sender: Any, **named: Any) -> list[tuple[Receiver, Any]]:
        """Call every receiver that wants to hear of this sender, in the order in which they were connected.

        Returns:
            each receiver with what it returned, or with the exception it raised, which is logged.
        """
        answers: list[tuple[Receiver, Any]] = []
        gone = False
        for _, wanted, reference in self.receivers:
            if not _wanted(wanted, sender):
                continue
            receiver = reference()
            if receiver is None:
                gone = True
                continue
            try:
                answers.append((receiver, receiver(signal=self, sender=sender, **named)))
            except Exception as error:  # a listener's failure must not change what it listens to
                logger.exception("Signal handler %r raised: %r", receiver, error)
                answers.append((receiver, error))
        if gone:
            with self._lock:
                self.receivers = self._living()
        return answers

    #: The name Django programs know.
    send_robust = send

    def send_strictly(self, sender: Any, **named: Any) -> list[tuple[Receiver, Any]]:
        """As :meth:`send`, for moments at which a receiver's failure must end what is going on.

        Raises:
            Exception: what the first failing receiver raised.
        """
        answers = self.send(sender, **named)
        for _, answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def _living(self) -> tuple[Connection, ...]:
        """Return the connections whose receivers are still there. The lock is held."""
        return tuple(one for one in self.receivers if one.reference() is not None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.name} providing_args={set(self.providing_args)!r}>"


class _Persistent:
    """Calls a receiver until it raises nothing.

    Args:
        receiver: the function.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def __call__(self, **named: Any) -> Any:
        wait = 2.0
        while True:
            try:
                return self.receiver(**named)
            except Exception as error:  # whatever it was, another try is what was asked for
                logger.error("Signal handler %r raised: %r; trying again in %g seconds", self.receiver, error, wait)
            time.sleep(wait)
            wait = min(30.0, wait + 2.0)

    def __repr__(self) -> str:
        return repr(self.receiver)


def _check_keywords(receiver: Receiver) -> None:
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):  # some functions written in C say nothing about their arguments
        return
    if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        raise ValueError(
            f"Signal receiver must accept keyword arguments: add **kwargs to the parameters of {receiver!r}"
        )


def _reference(receiver: Any, weak: bool) -> Callable[[], Receiver | None]:
    if not weak:
        return _strong(receiver)
    return weakref.WeakMethod(receiver) if inspect.ismethod(receiver) else weakref.ref(receiver)


def _strong(receiver: Receiver) -> Callable[[], Receiver]:
    return lambda: receiver


def _identity(receiver: Any, dispatch_uid: Any) -> Any:
    if dispatch_uid:
        return dispatch_uid
    if inspect.ismethod(receiver):
        return (id(receiver.__self__), id(receiver.__func__))
    return id(receiver)


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, str) and isinstance(other, str) and one == other)


def _wanted(wanted: Any, sender: Any) -> bool:
    """Tell whether a connection to ``wanted`` is meant for ``sender``."""
    if wanted is None or wanted is sender:
        return True
    if isinstance(wanted, type):
        return isinstance(sender, wanted)
    if isinstance(wanted, str):
        return bool(wanted == sender or wanted == _name(sender))
    if isinstance(sender, str):
        return bool(_name(wanted) == sender)
    # A shared task stands for the task of its name that the sending application has.
    stands_for = getattr(wanted, "stands_for", None)
    return stands_for is not None and bool(stands_for(sender))


def _name(sender: Any) -> Any:
    """Return what a task or a node is called."""
    return getattr(sender, "name", None) or getattr(sender, "hostname", None)
