"""Where the results of what a process sends go, on backends that send them to whoever asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from tq_core.errors import TQError
from tq_core.ids import new_id

if TYPE_CHECKING:
    from tq_core.app import Celery

#: Where results of what this thread or coroutine sends go; None for this process's own address.
_replies_to: ContextVar[str | None] = ContextVar("tq_replies_to", default=None)


class ReplyAddress:
    """The address in the ``reply_to`` of messages. Any thread.

    Args:
        app: the application.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._own = new_id()
        self._in_use: bool | None = None

    @property
    def in_use(self) -> bool:
        """True where results go to :attr:`current`; the backend is opened only where its plugin does not say."""
        if self._in_use is None:
            app = self._app
            try:
                told = app.plugins.backend_capabilities(app.connections.urls[1])
                self._in_use = (app.backend.capabilities if told is None else told).replies
            except TQError:  # whoever asks for a result is told what is wrong with the backend
                self._in_use = False
        return self._in_use

    @property
    def current(self) -> str:
        """Where the result of what this thread or coroutine sends now goes, where the backend sends replies."""
        other = _replies_to.get()
        if other:
            return other
        return self._app.backend.reply_address() if self.in_use else self._own

    @contextmanager
    def instead(self, address: str | None) -> Iterator[None]:
        """While entered, results of what this thread or coroutine sends go where somebody else waits for them.

        Args:
            address: where; None or "" changes nothing.
        """
        token = _replies_to.set(address or _replies_to.get())
        try:
            yield
        finally:
            _replies_to.reset(token)
