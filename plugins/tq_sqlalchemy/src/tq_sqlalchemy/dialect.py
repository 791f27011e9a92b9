"""The seam: what each database does its own way. One object, chosen once from the URL.

The verbs every dialect shares are SQLAlchemy Core statements beside their callers. Here stand the others: those a
batch of messages or results passes through, and those that SQL leaves to each database.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import sqlalchemy as sa

from tq_core.errors import TQError
from tq_sqlalchemy.database import Database, Session
from tq_sqlalchemy.waking import Doorbell


class Glance(NamedTuple):
    """What one look at the queues shows.

    Attributes:
        version: another number when somebody may have committed since the last look; None where that is not known.
        ready: there is a message to take.
        due: the earliest due time of any parked message (Unix time), or None.
    """

    version: int | None
    ready: bool
    due: float | None


class MessageVerbs(ABC):
    """The hot verbs of the queues, each one statement for a whole batch.

    Attributes:
        rows_at_once: most rows :meth:`insert` takes outside of a transaction.
        insert_rings: :meth:`insert` wakes those who wait, with its commit.
        ripen_every: seconds between two looks at the parked messages while there is other work.
        breath: seconds to wait before asking a queue again that the last claim has emptied: what was taken may be done
            by then, and its ending is more urgent. 0 where asking takes no time.
    """

    rows_at_once: ClassVar[int]
    insert_rings: ClassVar[bool] = False
    ripen_every: ClassVar[float]
    breath: ClassVar[float] = 0.0

    @abstractmethod
    def insert(self, session: Session, rows: Sequence[tuple[Any, ...]], rings: Mapping[str, int]) -> None:
        """Insert rows made by :func:`~tq_sqlalchemy.envelope.row_of`, in their order.

        ``rings`` says how many consumers of which queue to wake, where :attr:`insert_rings`. Called at most once in a
        unit of work. When that is run again because its answer was lost, a database that
        may have committed it inserts nothing.
        """

    @abstractmethod
    def claim(self, session: Session, queue: str, fence: int, turn: int, limit: int) -> list[tuple[Any, ...]]:
        """Take up to ``limit`` ready rows of ``queue`` for ``fence``, the most urgent first.

        Takes nothing for a fence that is no longer registered, nor from a paused queue. The claim is its own
        transaction.

        Args:
            session: outside of a transaction.
            queue: name.
            fence: the owner.
            turn: a number this owner has not used before.
            limit: most rows.

        Returns:
            ``priority, id, delivery_count, orphaned, task_id, due, content_type, content_encoding, properties,
            headers, body`` of each.
        """

    @abstractmethod
    def begin(self, session: Session, fence: int, rows: Sequence[int]) -> None:
        """Mark what ``fence`` holds of ``rows`` as begun."""

    @abstractmethod
    def delete(self, session: Session, fence: int, rows: Sequence[int]) -> int:
        """Delete what ``fence`` still holds of ``rows``; return how many rows that were."""

    @abstractmethod
    def requeue(self, session: Session, fence: int, rows: Sequence[int], *, counted: bool) -> None:
        """Make what ``fence`` holds of ``rows`` ready again; ``counted`` False takes this delivery off the count."""

    @abstractmethod
    def release(self, session: Session, fence: int, turns: Sequence[int]) -> None:
        """Make ready, uncounted, what ``fence`` claimed in ``turns`` and has not begun."""

    @abstractmethod
    def held(self, session: Session, fence: int) -> list[tuple[Any, ...]]:
        """Return what ``fence`` holds by id, as :meth:`claim` does, with the queue behind; begun rows as orphaned."""

    @abstractmethod
    def glance(self, session: Session, queues: Sequence[str]) -> Glance:
        """Look whether there is anything to do; takes no lock."""

    @abstractmethod
    def version(self, session: Session) -> int | None:
        """Return :attr:`Glance.version` alone."""

    @abstractmethod
    def ripen(self, database: Database, now: float) -> None:
        """Make parked messages ready whose time has come; costs next to nothing when there are none."""

    @abstractmethod
    def queues_of(self, session: Session, rows: Sequence[int]) -> list[str]:
        """Return the names of the queues of ``rows``."""


class ResultVerbs(ABC):
    """The hot verbs of one result table."""

    #: Most rows :meth:`store` takes outside of a transaction.
    rows_at_once: ClassVar[int]
    #: :meth:`store` tells those who watch, with its commit.
    store_rings: ClassVar[bool] = False

    @abstractmethod
    def store(self, session: Session, rows: Sequence[tuple[Any, ...]], rings: Sequence[bytes]) -> None:
        """Write rows; of two with one id the later wins, except over a success.

        Args:
            session: in a transaction where there are more than :attr:`rows_at_once` rows.
            rows: values in the order of the columns; moments as ``2026-01-02 03:04:05.678901``, UTC.
            rings: what to tell every watcher, where :attr:`store_rings`.
        """

    @abstractmethod
    def fetch(self, session: Session, ids: Sequence[str], *, ready: bool) -> list[tuple[Any, ...]]:
        """Return the rows of ``ids`` there are, or only those in a ready state."""

    @abstractmethod
    def forget(self, session: Session, ids: Sequence[str]) -> None:
        """Delete the rows of ``ids``."""

    @abstractmethod
    def expire(self, session: Session, before: str, limit: int) -> int:
        """Delete up to ``limit`` rows older than ``before``; return how many."""


class Dialect(ABC):
    """One database, as its URL names it.

    Its text says which for people, without the password: "the SQLite database /var/lib/shop/queue.db".
    """

    messages: MessageVerbs
    #: Rows of Celery's tables are numbered by its sequences.
    sequences: ClassVar[bool] = False
    #: The type under which a moment's text is bound to a column of dates.
    moment_type: sa.types.TypeEngine[Any]

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def database(
        self,
        *,
        unavailable: type[TQError],
        failure: type[TQError],
        patience: float,
        engine_options: Mapping[str, Any],
        engine_callback: Callable[[sa.Engine], object] | None = None,
        prepare: Callable[[sa.Connection], None],
    ) -> Database:
        """Return access to it; connects later.

        Args:
            unavailable: the error to raise when it cannot be used.
            failure: the error to raise when it refuses the values.
            patience: seconds an operation may take.
            engine_options: passed to ``create_engine``.
            engine_callback: called once with the engine (``database_engine_callback``).
            prepare: creates or upgrades tables; called once a process, at the first use, inside a transaction that
                keeps out everybody else who prepares.

        Raises:
            ImproperlyConfigured: the driver is missing or too old, or an option is not one of ``create_engine``.
        """

    @abstractmethod
    def doorbell(self, database: Database, *, enabled: bool = True) -> Doorbell:
        """Return what wakes those who wait; ``enabled`` False wakes nobody."""

    @abstractmethod
    def results(self, table: sa.Table, columns: Sequence[str], *, numbered: bool) -> ResultVerbs:
        """Return the verbs of a result table.

        Args:
            table: the table.
            columns: the columns to write and read, ``task_id`` and ``status`` first.
            numbered: the table numbers its rows by itself; otherwise by the sequence that Celery makes for it.
        """

    @abstractmethod
    def insert_new(self, table: sa.Table, columns: Iterable[str]) -> sa.Insert:
        """Return the insertion of a row, bound by the columns' names, that does nothing where its key is taken."""

    def prepare_queues(self, connection: sa.Connection) -> None:
        """Do what the tables of the queues need beyond their form. Inside the transaction that makes them."""

    def prepare_coordination(self, connection: sa.Connection) -> None:
        """Do what the tables of the coordination need beyond their form. Inside the transaction that makes them."""
