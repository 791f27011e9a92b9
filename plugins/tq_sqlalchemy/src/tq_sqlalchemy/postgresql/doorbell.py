"""Bells that hear by LISTEN and are rung by NOTIFY; see :mod:`tq_sqlalchemy.postgresql.ringing`."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import ClassVar

from tq_core.errors import TQError
from tq_sqlalchemy.database import Database, Terms
from tq_sqlalchemy.postgresql.listener import Listener, ListeningBell
from tq_sqlalchemy.postgresql.ringing import LARGEST, RING
from tq_sqlalchemy.server.connections import Connections
from tq_sqlalchemy.waking import LOOK, Bell, Doorbell
from tq_sqlalchemy.waking import RING as ANYTHING

#: Ringing is a favour: it may fail, and must not take long.
BRIEFLY = Terms(patience=1.0, refusal=0.0)


class NotifyingDoorbell(Doorbell):
    """The bells around one PostgreSQL database.

    Args:
        database: rings through it.
        connections: to the same server.
    """

    largest: ClassVar[int] = LARGEST

    def __init__(self, database: Database, connections: Connections) -> None:
        self._database = database
        self._connections = connections

    def bell(self, kind: str, names: Collection[str] = ()) -> Bell:
        listener = self._connections.companion(Listener)
        assert isinstance(listener, Listener)
        return ListeningBell(listener, kind, names)

    def ring(self, kind: str, name: str, count: int, payload: bytes = ANYTHING) -> None:
        parameters = {"kind": kind, "name": name, "most": count, "payload": readable(payload)}
        listener = self._connections.companion(None)
        # Who waits in this process as well rings through the listener: it costs him no time, and a bell just taken down
        # is not rung in place of another.
        if isinstance(listener, Listener) and listener.ring(parameters):
            return
        with suppress(TQError):
            self._database.once(lambda session: session.raw.execute(RING, parameters), BRIEFLY)

    def anyone(self, kind: str) -> bool:
        # Whoever rings finds out in the same statement.
        return True

    def close(self) -> None:
        listener = self._connections.companion(None)
        if isinstance(listener, Listener):
            listener.rest()


def readable(payload: bytes) -> str:
    """Return a payload as text that PostgreSQL takes, or the one that says to look for everything."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return LOOK.decode()
    return LOOK.decode() if "\0" in text else text
