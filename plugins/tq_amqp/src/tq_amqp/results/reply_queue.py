"""The queue in which a process receives the results of its calls."""

from __future__ import annotations

import logging
import threading
import uuid
from contextlib import suppress
from time import monotonic

from tq_amqp import frames
from tq_amqp.connection import Doubt, Link
from tq_amqp.frames import short
from tq_amqp.results.kept import Kept, News
from tq_amqp.results.message import ResultCodec
from tq_amqp.results.reader import Reader, tag_of
from tq_amqp.tables import encode_table
from tq_amqp.topology import queue_arguments
from tq_amqp.wire import Broken, Channel, Refused, Wire
from tq_core.errors import BackendError, BackendUnavailable, TQError

logger = logging.getLogger(__name__)

#: Seconds the queue stays when nobody reads it: so long results wait for a client that was cut off, and then RabbitMQ
#: removes what a dead one left. Celery's goes with the connection, and what is in it with it.
LINGER = 60.0


class ReplyQueue:
    """One process's own queue. Any thread.

    Args:
        link: the way to RabbitMQ.
        kept: where what comes in is kept.
        codec: reads it.

    Attributes:
        address: the queue's name, which callers give as ``reply_to``.
        wanted: somebody has asked for the address or opened the queue, so that results may be on their way.
    """

    def __init__(self, link: Link, kept: Kept, codec: ResultCodec) -> None:
        self._link = link
        self._kept = kept
        self._codec = codec
        self.address = str(uuid.uuid4())
        self.wanted = False
        self._marks: dict[str, threading.Event] = {}
        self._reader = Reader(link, self)

    def open(self) -> None:
        """Make sure that the queue exists; it does so for a while without its reader.

        Raises:
            BackendUnavailable: RabbitMQ cannot be reached.
            BackendError: it refuses the queue.
        """
        self.wanted = True
        self._reader.connect(LINGER / 2)

    def catch_up(self) -> None:
        """Wait until everything is received that was in the queue when this was called.

        Raises:
            BackendUnavailable, BackendError: it cannot be received.
        """
        self.open()
        mark, options = uuid.uuid4().hex, self._link.options
        arrived = self._marks[mark] = threading.Event()
        properties = frames.write_properties({"type": "tq.mark", "correlation_id": mark, "delivery_mode": 1})
        try:
            deadline = monotonic() + options.answer_timeout
            outcome = self._link.publish([("", self.address, properties, b"")], deadline)
            if outcome.returned or not arrived.wait(max(0.0, deadline - monotonic())):
                raise BackendUnavailable(
                    f"{self._link}: the queue for results could not be read within {options.answer_timeout:g} s"
                )
        except Doubt as error:
            raise BackendUnavailable(str(error)) from error
        finally:
            del self._marks[mark]

    def close(self) -> None:
        """Remove the queue and end the thread. Never raises; may be called twice."""
        self._reader.close()

    # for the reader

    def subscribe(self, wire: Wire, times: int, until: float) -> Channel:
        """Make the queue, unless it is still there, and read it."""
        channel: Channel = wire.open_channel(until)
        if times and not self._look(channel, until):
            logger.warning("The queue for results has gone while its reader was cut off: what was in it is lost")
            channel = wire.open_channel(until)
        wanted = queue_arguments(self.address, arguments={"x-expires": int(LINGER * 1000)})
        channel.call(frames.QUEUE_DECLARE, wanted, until)
        # A reader that was cut off may still be one to RabbitMQ: the newest has precedence.
        priority = encode_table({"x-priority": times})
        channel.call(
            frames.BASIC_CONSUME, b"\x00\x00" + short(self.address) + short("results") + b"\x00" + priority, until
        )
        return channel

    def _look(self, channel: Channel, until: float) -> bool:
        try:
            channel.call(frames.QUEUE_DECLARE, queue_arguments(self.address, passive=True), until)
        except Refused:
            channel.wire.forget(channel)
            return False
        return True

    def attend(self, channel: Channel) -> None:
        """Change nothing: the queue serves all tasks."""

    def take(self, channel: Channel) -> None:
        """Keep what has come, and then let RabbitMQ drop it."""
        if channel.cancelled:
            raise Broken("somebody has deleted the queue")
        news: list[News] = []
        marks = []
        tag = b""
        for _, arguments, header, body in channel.contents:
            tag = tag_of(arguments)
            if body:
                news.append(self._codec.read(header, body))
            else:
                marks.append(header)
        channel.contents.clear()
        self._kept.put(news)
        for header in marks:
            with suppress(ValueError):
                arrived = self._marks.get(frames.read_properties(header).get("correlation_id") or "")
                if arrived is not None:
                    arrived.set()
        channel.cast(frames.BASIC_ACK, tag + b"\x01")

    def leave(self, channel: Channel, until: float) -> None:
        """Delete the queue."""
        channel.call(frames.QUEUE_DELETE, b"\x00\x00" + short(self.address) + b"\x00", until)

    def give_up(self, error: TQError) -> None:
        """End all waits: what was sent to the queue has gone with it."""
        self._kept.disappoint(lambda: BackendError(f"results were awaited that will not come any more: {error}"))
