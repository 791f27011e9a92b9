"""The queue in which a process receives the results of its calls, and the thread that reads it."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from tq_amqp import frames
from tq_amqp.connection import Doubt, Link
from tq_amqp.frames import short
from tq_amqp.results.kept import Kept, News
from tq_amqp.results.message import ResultCodec
from tq_amqp.tables import encode_table
from tq_amqp.topology import queue_arguments
from tq_amqp.wire import Broken, Channel, Refused, Wire, together
from tq_core.errors import BackendError, BackendUnavailable, TQError

logger = logging.getLogger(__name__)

#: Seconds the queue stays when nobody reads it: so long results wait for a client that was cut off, and then RabbitMQ
#: removes what a dead one left. Celery's goes with the connection, and what is in it with it.
LINGER = 60.0
#: Most seconds between heartbeats: a reader that is gone holds results back until RabbitMQ notices.
_HEARTBEAT = 30.0
#: Seconds without a word from the server after which it is asked whether it lives.
_ASK_AFTER = 10.0
#: Seconds between attempts to come back, the first and the longest.
_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class ReplyQueue:
    """One process's own queue. Any thread; its own thread reads it once :meth:`open` was called.

    Args:
        link: the way to RabbitMQ.
        kept: where what comes in is kept.
        codec: reads it.

    Attributes:
        address: the queue's name, which callers give as ``reply_to``.
        wanted: somebody has asked for the address or tried to open it, so that results may be on their way.
    """

    def __init__(self, link: Link, kept: Kept, codec: ResultCodec) -> None:
        self._link = link
        self._kept = kept
        self._codec = codec
        self.address = str(uuid.uuid4())
        self.wanted = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._connected = False
        self._lost_at: float | None = None
        self._error: TQError | None = None
        self._closed = False
        self._marks: dict[str, threading.Event] = {}
        self._opened = 0
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._pid = os.getpid()

    def open(self) -> None:
        """Make sure that the queue exists.

        Raises:
            BackendUnavailable: RabbitMQ cannot be reached.
            BackendError: it refuses the queue.
        """
        if self._exists():
            return
        options = self._link.options
        deadline = monotonic() + options.connect_timeout + options.answer_timeout
        with self._changed:
            self.wanted = True
            self._error = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tq results", daemon=True)
                self._thread.start()
            while not self._exists():
                if self._error is not None:
                    raise self._error
                if not self._changed.wait(max(0.0, deadline - monotonic())):
                    raise BackendUnavailable(f"{self._link}: the queue for results was not made in time")

    def _exists(self) -> bool:
        """Tell whether the queue is there for results: also for a while without its reader."""
        return self._connected or (self._lost_at is not None and monotonic() - self._lost_at < LINGER / 2)

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
        if self._pid != os.getpid():
            return
        self._closed = True
        with suppress(OSError):
            self._rope.send(b"\x00")
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(3.0)

    # the thread

    def _run(self) -> None:
        pause = _PAUSE
        while not self._closed:
            try:
                wire, channel = self._connect()
            except TQError as error:
                if self._gives_up(error):
                    return
                self._sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _PAUSE
            self._tell(connected=True)
            try:
                self._receive(wire, channel)
            except (Broken, Refused) as error:
                logger.info("The queue for results is lost and opened again: %s", error)
            finally:
                self._tell(connected=False)
                self._link.discard(wire)

    def _gives_up(self, error: TQError) -> bool:
        """Tell those who wait for the queue; without it nothing can be on its way, so nothing is tried again."""
        with self._changed:
            self._error = error
            self._changed.notify_all()
            if self._lost_at is None or (isinstance(error, BackendError) and not isinstance(error, BackendUnavailable)):
                self._thread = None
                self._lost_at = None
                if self._opened:
                    self._kept.disappoint(_copies(error))
                return True
        return False

    def _tell(self, *, connected: bool) -> None:
        with self._changed:
            self._connected = connected
            self._lost_at = None if connected else monotonic()
            self._changed.notify_all()

    def _sleep(self, seconds: float) -> None:
        self._bell.setblocking(True)
        self._bell.settimeout(seconds)
        with suppress(OSError):
            self._bell.recv(64)
        self._bell.setblocking(False)

    def _connect(self) -> tuple[Wire, Channel]:
        options = self._link.options
        wire = self._link.open(heartbeat=min(options.heartbeat, _HEARTBEAT), title="results")
        until = monotonic() + options.answer_timeout
        try:
            channel: Channel = wire.open_channel(until)
            if self._opened and not self._look(channel, until):
                logger.warning("The queue for results had gone with its connection: results sent meanwhile are lost")
                channel = wire.open_channel(until)
            wanted = queue_arguments(self.address, arguments={"x-expires": int(LINGER * 1000)})
            channel.call(frames.QUEUE_DECLARE, wanted, until)
            # A reader that was cut off may still be one to RabbitMQ: the newest has precedence.
            priority = encode_table({"x-priority": self._opened})
            consume = b"\x00\x00" + short(self.address) + short("results") + b"\x00" + priority
            channel.call(frames.BASIC_CONSUME, consume, until)
        except Broken as error:
            self._link.discard(wire)
            raise BackendUnavailable(f"{wire.name}: {error}. Check the server") from error
        except Refused as error:
            self._link.discard(wire)
            raise BackendError(
                f"{wire.name}: the queue for results cannot be made: {error}. Allow the user to configure, write and "
                "read queues of any name, since theirs are random"
            ) from error
        wire.watch(self._bell.fileno())
        self._opened += 1
        return wire, channel

    def _look(self, channel: Channel, until: float) -> bool:
        try:
            channel.call(frames.QUEUE_DECLARE, queue_arguments(self.address, passive=True), until)
        except Refused:
            channel.wire.forget(channel)
            return False
        return True

    def _receive(self, wire: Wire, channel: Channel) -> None:
        contents = channel.contents
        while not self._closed:
            wire.pump(_ASK_AFTER)
            channel.check()
            if channel.cancelled:
                raise Broken("RabbitMQ has ended it, since the queue was deleted")
            if contents:
                self._take(channel)
            wire.beat()
            if monotonic() - wire.heard_at > _ASK_AFTER:
                together([channel], monotonic() + self._link.options.answer_timeout)
        until = monotonic() + 1.0
        channel.cast(frames.QUEUE_DELETE, b"\x00\x00" + short(self.address) + b"\x00")
        channel.answers(1, until)

    def _take(self, channel: Channel) -> None:
        """Keep what has come, and then let RabbitMQ drop it."""
        news: list[News] = []
        marks = []
        tag = b""
        for _, arguments, header, body in channel.contents:
            at = 5 + arguments[4]
            tag = arguments[at : at + 8]
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
        channel.wire.flush(monotonic() + self._link.options.answer_timeout)


def _copies(error: TQError) -> Callable[[], BackendError]:
    return lambda: BackendError(str(error))
