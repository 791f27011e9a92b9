"""Operations on a database server: tried again while that is safe and there is time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import sqlalchemy as sa

from tq_core.errors import TQError
from tq_sqlalchemy.database import LONG, USUAL, Database, Session, Terms, Uncertain
from tq_sqlalchemy.server.connections import Connections
from tq_sqlalchemy.server.driver import Verdict
from tq_sqlalchemy.server.session import ServerSession

T = TypeVar("T")

#: Seconds between attempts, growing from the first to the last.
FIRST_PAUSE, LAST_PAUSE = 0.01, 0.25


class ServerDatabase(Database):
    """A database on a server.

    Args:
        connections: to the server.
        unavailable: the error to raise when it cannot be used.
        failure: the error to raise when it refuses the values.
        patience: seconds an operation may take.
        prepare: creates or upgrades tables.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        unavailable: type[TQError],
        failure: type[TQError],
        patience: float,
        prepare: Callable[[sa.Connection], None],
    ) -> None:
        self._connections = connections
        self._server = connections.server
        self._errors: tuple[type[BaseException], ...] = (*connections.server.errors, sa.exc.DBAPIError)
        self._unavailable = unavailable
        self._failure = failure
        self._patience = patience
        self._prepare = prepare
        self._prepared = False

    def read(self, work: Callable[[Session], T]) -> T:
        return self._insist(lambda session, _effort: work(session), USUAL)

    def once(self, work: Callable[[Session], T], terms: Terms = USUAL) -> T:
        def attempt(session: ServerSession, effort: _Effort) -> T:
            effort.sent = True
            return work(session)

        return self._insist(attempt, terms)

    def write(self, work: Callable[[Session], T], terms: Terms = USUAL, *, guards: Sequence[str] = ()) -> T:
        def attempt(session: ServerSession, effort: _Effort) -> T:
            session.begin(guards, effort.patience)
            try:
                result = work(session)
            except self._server.errors:
                raise
            except BaseException:
                with suppress(*self._server.errors):  # then the connection is closed, and the server rolls back
                    self._server.rollback(session.raw)
                raise
            effort.sent = True
            self._server.commit(session.raw)
            return result

        return self._insist(attempt, terms)

    def ready(self) -> None:
        if not self._prepared:
            self._make_ready(LONG)

    def connect(self, patience: float) -> None:
        terms = Terms(patience=patience)
        if not self._prepared:
            self._make_ready(terms)
        self._insist(lambda session, _effort: self._server.now(session.raw), terms)

    def close(self) -> None:
        self._connections.close()

    def _make_ready(self, terms: Terms) -> None:
        def attempt(_session: ServerSession, effort: _Effort) -> None:
            self._server.prepare(self._prepare, effort.deadline)

        self._try(attempt, _Effort(terms, self._patience))
        self._prepared = True

    def _insist(self, attempt: Callable[[ServerSession, _Effort], T], terms: Terms) -> T:
        self.ready()
        return self._try(attempt, _Effort(terms, self._patience))

    def _try(self, attempt: Callable[[ServerSession, _Effort], T], effort: _Effort) -> T:
        session = self._connections.take()
        session.number += 1
        try:
            while True:
                effort.sent = effort.opened = False
                try:
                    session.open(effort.deadline)
                    effort.opened = True
                    return attempt(session, effort)
                except self._errors as error:
                    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig else error
                    if not session.is_idle():
                        session.close()
                    self._judge(cause, effort)
                time.sleep(effort.pause())
        finally:
            self._connections.give(session)

    def _judge(self, error: BaseException, effort: _Effort) -> None:
        """Return when it is worth trying again, or raise what the caller is to know."""
        verdict = self._server.verdict(error, opening=not effort.opened)
        if verdict is Verdict.BROKEN and effort.sent:
            effort.uncertain = True
        if verdict is Verdict.VALUES:
            raise self._failure(self._server.explain(error)) from error
        hopeless = verdict is Verdict.WRONG or (effort.uncertain and not effort.terms.repeatable)
        # What may have been done is worth the whole patience: nobody else can find out.
        refused = verdict is Verdict.REFUSED and not effort.uncertain
        if hopeless or effort.is_over(refused):
            text = self._server.explain(error)
            if not effort.uncertain:
                raise self._unavailable(text) from error
            raise self._unavailable(text) from Uncertain(f"{type(error).__name__}: {error}")


class _Effort:
    """One operation's attempts.

    Attributes:
        deadline: when it must be over, by the monotonic clock.
        opened: the present attempt had a connection.
        sent: the present attempt has sent what may have been done although no answer came.
        uncertain: some attempt may have been done.
    """

    __slots__ = ("_pause", "_refused_until", "deadline", "opened", "patience", "sent", "terms", "uncertain")

    def __init__(self, terms: Terms, patience: float) -> None:
        self.terms = terms
        self.patience = patience if terms.patience is None else terms.patience
        now = time.monotonic()
        self.deadline = now + self.patience
        self._refused_until = self.deadline if terms.refusal is None else now + terms.refusal
        self._pause = FIRST_PAUSE
        self.opened = self.sent = self.uncertain = False

    def is_over(self, refused: bool) -> bool:
        """True when there is no time for another attempt."""
        return time.monotonic() + self._pause >= (self._refused_until if refused else self.deadline)

    def pause(self) -> float:
        """Return the seconds to wait before the next attempt."""
        pause, self._pause = self._pause, min(self._pause * 2, LAST_PAUSE)
        return pause * (0.5 + random.random() / 2)
