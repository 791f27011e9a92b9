"""A worker node's ear for remote control."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from tq_core.control.clock import LamportClock
from tq_core.control.commands import Commands
from tq_core.errors import BrokerError, NotSupported, TQError
from tq_core.message import Message
from tq_core.protocol.pidbox import ControlRequest, exchange_names, read_request
from tq_core.retry import delays

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.contracts.broker import Inbox

logger = logging.getLogger("tq.worker.control")

#: Seconds before a broken connection is tried again, at first and at most: against a server that is silent each try
#: holds up the supervisor.
_FIRST, _MOST = 1.0, 30.0


class ControlMailbox:
    """Hears requests, has them carried out and answers. Used by the supervisor's main thread only.

    Args:
        app: the application.
        node: the node's name.
        commands: does what is asked.
        clock: the node's clock of messages.
        on_return: called when it listens again after a time in which it heard nothing.
    """

    def __init__(
        self, app: Celery, node: str, commands: Commands, clock: LamportClock, on_return: Callable[[], None]
    ) -> None:
        self._app = app
        self._node = node
        self._commands = commands
        self._clock = clock
        self._on_return = on_return
        self._deaf = False
        self._exchange = exchange_names(app.conf.control_exchange)[0]
        self._accept = app.serializers.accept(app.conf.accept_content)
        self._inbox: Inbox | None = None
        self._open_at = 0.0
        self._pauses = delays(_FIRST, 2.0, _MOST)

    def open(self) -> None:
        """Begin to listen; a broker that cannot be reached is tried again by :meth:`attend`."""
        try:
            self._inbox = self._app.broker.inbox(self._exchange)
            self._pauses = delays(_FIRST, 2.0, _MOST)
            if self._deaf:
                self._deaf = False
                self._on_return()
        except BrokerError as error:
            self._lose(error)

    def source(self) -> int | None:
        """Return a file descriptor that is readable when there may be a request, or None."""
        return None if self._inbox is None else self._inbox.fileno()

    def attend(self) -> None:
        """Carry out the requests that have come in. Never raises."""
        if self._inbox is None:
            if monotonic() >= self._open_at:
                self.open()
            return
        try:
            heard = self._inbox.receive(0.0)
        except BrokerError as error:
            self._lose(error)
            return
        for message in heard:
            try:
                self._obey(message)
            except Exception:  # whatever a request holds, the node goes on
                logger.exception("A control request could not be carried out")

    def close(self) -> None:
        """Stop listening. May be called twice."""
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None

    def _lose(self, error: BrokerError) -> None:
        logger.warning("No remote control for now: %s", error)
        self._deaf = True
        self.close()
        self._open_at = monotonic() + next(self._pauses)

    def _obey(self, message: Message) -> None:
        self._clock.adjust(message.headers.get("clock"))
        try:
            body = self._app.serializers.decode(message.body, message.content_type, self._accept)
            request = read_request(body)
        except TQError as error:
            logger.error("A control request cannot be read: %s", error)
            return
        if not request.concerns(self._node):
            return
        value: Any
        try:
            value = self._commands.run(request.method, request.arguments)
        except NotSupported as error:
            logger.info("Control request refused: %s", error)
            value = {"error": str(error)}
        except (TypeError, ValueError) as error:
            logger.error("Control request %.60r refused: %s", request.method, error)
            value = {"error": str(error)}
        if value is not None and request.reply_to is not None:
            self._answer(request, request.reply_to, value)

    def _answer(self, request: ControlRequest, address: tuple[str, str], value: Any) -> None:
        serializer = self._app.serializers.get("json")
        headers = {"ticket": request.ticket, "clock": self._clock.forward()}
        message = Message(
            request.ticket or "",
            headers,
            serializer.dumps({self._node: value}),
            serializer.content_type,
            serializer.content_encoding,
            queue="",
            exchange=address[0],
            routing_key=address[1],
            delivery_mode=1,
        )
        with suppress(BrokerError):  # who asked is gone, or asks again
            self._app.broker.answer(address[0], address[1], message)
