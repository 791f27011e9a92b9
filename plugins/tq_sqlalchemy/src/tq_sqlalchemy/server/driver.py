"""What a kind of database server has to offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa

from tq_sqlalchemy.database import Cursor

if TYPE_CHECKING:
    from tq_sqlalchemy.server.session import ServerSession


class Verdict(Enum):
    """What an error means for whoever met it."""

    #: The connection is of no further use; another may do.
    BROKEN = auto()
    #: No connection can be had: nobody listens there.
    REFUSED = auto()
    #: The server undid the work, or has no room just now; the same again may succeed.
    AGAIN = auto()
    #: The values cannot be stored, now or later.
    VALUES = auto()
    #: Somebody has to put something right first.
    WRONG = auto()


class Server(ABC):
    """One server by its driver. Any thread, but a connection belongs to one at a time.

    Attributes:
        engine: compiles Core statements and makes tables.
        errors: what the driver raises.
        place: names the server and its database for people, without the password.
    """

    engine: sa.Engine
    errors: ClassVar[tuple[type[BaseException], ...]]
    place: str

    @abstractmethod
    def open(self, deadline: float) -> Any:
        """Return a new connection in autocommit mode; ``deadline`` by the monotonic clock."""

    @abstractmethod
    def is_stale(self, raw: Any) -> bool:
        """True when the server has closed an idle connection; asks nobody."""

    @abstractmethod
    def is_idle(self, raw: Any) -> bool:
        """True when the connection can be used for something else as it is."""

    @abstractmethod
    def bound(self, raw: Any, deadline: float) -> None:
        """End every call on the connection at ``deadline`` by an error of the driver."""

    @abstractmethod
    def close(self, raw: Any) -> None:
        """Close a connection, in whatever state; waits for nothing and raises nothing."""

    @abstractmethod
    def socket(self, raw: Any) -> int:
        """Return the connection's file descriptor, -1 when it has none."""

    @abstractmethod
    def verdict(self, error: BaseException, *, opening: bool) -> Verdict:
        """Judge an error; ``opening`` when it came while connecting."""

    @abstractmethod
    def explain(self, error: BaseException) -> str:
        """Say in one line what went wrong where, and what to look at; without the password."""

    @abstractmethod
    def begin(self, raw: Any, guards: Sequence[str], patience: float) -> float | None:
        """Begin a transaction that holds ``guards`` until its end; return the server's time if that costs nothing."""

    @abstractmethod
    def commit(self, raw: Any) -> None:
        """End the transaction."""

    @abstractmethod
    def rollback(self, raw: Any) -> None:
        """Undo the transaction."""

    @abstractmethod
    def now(self, raw: Any) -> float:
        """Return the server's time, in seconds."""

    @abstractmethod
    def execute(self, raw: Any, sql: str, parameters: Any) -> Cursor:
        """Execute a compiled statement."""

    @abstractmethod
    def execute_many(self, raw: Any, sql: str, rows: Sequence[Any]) -> int:
        """Execute a compiled statement for each of ``rows``; return how many rows were written in all."""

    @abstractmethod
    def insert(self, session: ServerSession, statement: sa.Insert, parameters: Mapping[str, Any]) -> int:
        """Insert one row and return its id."""

    @abstractmethod
    def prepare(self, make: Callable[[sa.Connection], None], deadline: float) -> None:
        """Call ``make`` in a transaction of which there is one at a time."""
