"""What the rest of the plugin knows of a database: work runs in sessions, bounded in time.

Each dialect brings its own :class:`Database`, because files and servers differ in what a connection, a fork, a
lock and a lost answer are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa

T = TypeVar("T")


class Terms(NamedTuple):
    """How much may be risked and waited for an operation.

    Attributes:
        repeatable: doing it twice is as good as once, so it may be tried again when its answer was lost.
        patience: seconds the whole operation may take, None for the database's own bound.
        refusal: seconds to go on while the server refuses connections, None for all of the patience.
    """

    repeatable: bool = True
    patience: float | None = None
    refusal: float | None = None


#: For what may be done twice, within the ordinary bound.
USUAL = Terms()
#: For what must not happen twice.
ONCE = Terms(repeatable=False)
#: For what looks through whole tables.
LONG = Terms(patience=60.0)


class Uncertain(Exception):
    """The answer was lost after something had been sent, so that it may or may not have been done.

    Stands as the cause behind the error a :class:`Database` raises.
    """


class Cursor(Protocol):
    """What a statement brought, as every driver hands it out."""

    @property
    def rowcount(self) -> int:
        """Rows written, or found."""

    def fetchone(self) -> Any:
        """Return the next row as a tuple, or None."""

    def fetchall(self) -> list[Any]:
        """Return all further rows."""


class Session(ABC):
    """One thread's connection, opened when needed. Belongs to the work it is handed to."""

    @property
    @abstractmethod
    def raw(self) -> Any:
        """The driver's own connection, for the statements of this dialect."""

    @abstractmethod
    def run(self, statement: sa.Executable, **parameters: Any) -> Cursor:
        """Execute a Core statement, compiled once; values go to the driver as they are."""

    @abstractmethod
    def run_many(self, statement: sa.Executable, rows: Sequence[Mapping[str, Any]]) -> int:
        """Execute a Core statement once for each of ``rows``; return how many rows were written in all."""

    @abstractmethod
    def insert(self, statement: sa.Insert, **parameters: Any) -> int:
        """Execute the insertion of one row into a table with a column ``id``; return the new row's."""

    @abstractmethod
    def now(self) -> float:
        """Return the seconds of the clock by which leases and expiries go; the same for all who share the database."""


class Database(ABC):
    """A database, used from any thread of any process.

    Work given to it may run more than once, so it must keep nothing of an earlier run. Every method raises the
    ``unavailable`` error it was made with when the database cannot be used in time; work that was not done for
    another reason raises that error too.
    """

    @abstractmethod
    def read(self, work: Callable[[Session], T]) -> T:
        """Run ``work``, which only reads, without a transaction of its own."""

    @abstractmethod
    def once(self, work: Callable[[Session], T], terms: Terms = USUAL) -> T:
        """Run ``work``, which writes with a single statement; that statement is its transaction."""

    @abstractmethod
    def write(self, work: Callable[[Session], T], terms: Terms = USUAL, *, guards: Sequence[str] = ()) -> T:
        """Run ``work`` in one transaction: all of it happens or, when it raises, nothing.

        Args:
            work: reads and writes.
            terms: see :class:`Terms`.
            guards: words; of all work that names one of them, in all processes, one runs at a time.
        """

    @abstractmethod
    def ready(self) -> None:
        """Make sure the tables are there; costs nothing once they are."""

    @abstractmethod
    def connect(self, patience: float) -> None:
        """Make sure that the database can be used and its tables are there, within ``patience`` seconds."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections this process opened."""
