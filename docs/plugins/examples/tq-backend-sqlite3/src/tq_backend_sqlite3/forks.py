"""No connection is open while the process forks.

SQLite keeps the locks of a file in the memory of the process. A child inherits that memory, but not the locks, and
would believe for ever what its parent knew at the moment of the fork, even of a connection that it opens itself.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet


class Forking(Protocol):
    """Something that must be at rest while the process forks."""

    def before_fork(self) -> None:
        """Come to rest, and stay there; called by the thread that forks."""

    def after_fork(self) -> None:
        """Go on; called by the same thread, in the parent and in the child."""


_watched: WeakSet[Forking] = WeakSet()
_at_rest: list[Forking] = []
#: Held by the thread that forks: two at once could each hold what the other waits for.
_turn = threading.Lock()


def watch_over(what: Forking) -> None:
    """Tell ``what`` of every fork, for as long as it lives."""
    _watched.add(what)


def _before() -> None:
    _turn.acquire()
    for what in list(_watched):
        _at_rest.append(what)
        what.before_fork()


def _after() -> None:
    while _at_rest:
        _at_rest.pop().after_fork()
    _turn.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
