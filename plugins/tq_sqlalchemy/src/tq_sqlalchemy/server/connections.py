"""All connections of one process to one server, and what becomes of them in a fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Any, Protocol
from weakref import WeakSet, WeakValueDictionary

from tq_sqlalchemy.server.driver import Server
from tq_sqlalchemy.server.session import ServerSession

#: Connections at rest that a process keeps to one server; others are closed after use.
MOST_IDLE = 4


class Companion(Protocol):
    """Something of which a process has one beside its connections."""

    def abandon(self) -> None:
        """Let go, in a forked child, of what belongs to the parent."""


class Connections:
    """A process's sessions with one server, shared by every :class:`ServerDatabase` of one URL and its options."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._statements: dict[Any, Any] = {}
        self._lock = threading.Lock()
        self._idle: list[ServerSession] = []
        self._all: WeakSet[ServerSession] = WeakSet()
        self._epoch = 0
        self._companion: Companion | None = None

    def companion(self, make: Callable[[Connections], Companion] | None) -> Companion | None:
        """Return what accompanies the connections of this process, made by ``make`` if there is none yet."""
        with self._lock:
            if self._companion is None and make is not None:
                self._companion = make(self)
            return self._companion

    def take(self) -> ServerSession:
        """Lend the session that was used last, or a new one."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
            session = ServerSession(self.server, self._statements)
            session.epoch = self._epoch
            self._all.add(session)
            return session

    def give(self, session: ServerSession) -> None:
        """Take a session back."""
        if not session.is_idle():
            session.close()
        with self._lock:
            if session.epoch == self._epoch and len(self._idle) < MOST_IDLE:
                self._idle.append(session)
                return
        session.close()

    def close(self) -> None:
        """Close what is at rest now, and what is lent when it comes back."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._epoch += 1
        for session in idle:
            session.close()

    def before_fork(self) -> None:
        """Keep the books still."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start with no connection at all."""
        for session in list(self._all):
            _INHERITED.append(session.abandon())
        if self._companion is not None:
            self._companion.abandon()
            self._companion = None
        self._idle, self._all = [], WeakSet()
        self._epoch += 1
        self._lock.release()


# What is one per process by nature: forks concern every connection of the process.
_CONNECTIONS: WeakValueDictionary[Hashable, Connections] = WeakValueDictionary()
_GUARD = threading.Lock()
_INHERITED: list[object] = []
_HALTED: list[Connections] = []


def connections_to(key: Hashable, make: Callable[[], Server]) -> Connections:
    """Return the process's connections to a server.

    Args:
        key: equal for equal URLs and options.
        make: makes the server when there are none yet.
    """
    with _GUARD:
        found = _CONNECTIONS.get(key)
        if found is None:
            found = _CONNECTIONS[key] = Connections(make())
        return found


def _before_fork() -> None:
    _GUARD.acquire()
    _HALTED.extend(_CONNECTIONS.values())
    for connections in _HALTED:
        connections.before_fork()


def _after_fork_in_parent() -> None:
    while _HALTED:
        _HALTED.pop().after_fork_in_parent()
    _GUARD.release()


def _after_fork_in_child() -> None:
    while _HALTED:
        _HALTED.pop().after_fork_in_child()
    _GUARD.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
