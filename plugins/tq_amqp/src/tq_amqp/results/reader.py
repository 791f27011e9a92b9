"""A thread that receives results over a connection of its own, and comes back after a cut."""

from __future__ import annotations

import logging
import os
import socket
import threading
from contextlib import suppress
from time import monotonic
from typing import Protocol

from tq_amqp.connection import Link
from tq_amqp.wire import Broken, Channel, Refused, Wire, together
from tq_core.errors import BackendError, BackendUnavailable, TQError

logger = logging.getLogger(__name__)

#: Most seconds between heartbeats: a reader that is gone holds results back until RabbitMQ notices.
_HEARTBEAT = 30.0
#: Seconds without a word from the server after which it is asked whether it lives.
_ASK_AFTER = 10.0
#: Seconds between attempts to come back, the first and the longest.
_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
#: Seconds after a cut during which it is tried to come back.
PATIENCE = 60.0


class Duty(Protocol):
    """What a reader reads; all methods are called by its thread."""

    def subscribe(self, wire: Wire, times: int, until: float) -> Channel:
        """Have results sent over a new connection.

        Args:
            wire: the connection.
            times: how many there were before.
            until: monotonic seconds.

        Raises:
            Refused, Broken: that cannot be.
        """

    def attend(self, channel: Channel) -> None:
        """Send what has to be changed; called after each :meth:`Reader.wake`."""

    def take(self, channel: Channel) -> None:
        """Take what has come in, ``channel.contents`` and ``channel.cancelled``, and acknowledge it."""

    def leave(self, channel: Channel, until: float) -> None:
        """Leave nothing behind; the connection is closed next."""

    def give_up(self, error: TQError) -> None:
        """Tell those who wait that nothing will come."""


class Reader:
    """A connection and the thread that reads it. Any thread may call the methods.

    Args:
        link: the way to RabbitMQ.
        duty: what is read.
    """

    def __init__(self, link: Link, duty: Duty) -> None:
        self._link = link
        self._duty = duty
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._connected = False
        self._lost_at: float | None = None
        self._error: TQError | None = None
        self._closed = False
        self._times = 0
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._pid = os.getpid()

    def is_fresh(self, lapse: float) -> bool:
        """Tell whether it is connected, or was so no more than ``lapse`` seconds ago."""
        lost_at = self._lost_at
        return self._connected or (lost_at is not None and monotonic() - lost_at < lapse)

    def start(self) -> None:
        """Have the thread run, without waiting for it."""
        if self._connected:
            return
        with self._changed:
            self._start()

    def _start(self) -> None:
        self._error = None
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="tq results", daemon=True)
            self._thread.start()

    def connect(self, lapse: float) -> None:
        """Wait until it is connected, or was so no more than ``lapse`` seconds ago.

        Raises:
            BackendUnavailable: RabbitMQ cannot be reached.
            BackendError: it refuses what is to be read.
        """
        if self.is_fresh(lapse):
            return
        options = self._link.options
        deadline = monotonic() + options.connect_timeout + options.answer_timeout
        with self._changed:
            self._start()
            while not self.is_fresh(lapse):
                if self._error is not None:
                    raise self._error
                if self._closed or not self._changed.wait(max(0.0, deadline - monotonic())):
                    raise BackendUnavailable(f"{self._link}: results cannot be received: it did not answer in time")

    def wake(self) -> None:
        """Have :meth:`Duty.attend` called."""
        with suppress(OSError):
            self._rope.send(b"\x00")

    def close(self) -> None:
        """End the thread and the connection. Never raises; may be called twice."""
        if self._pid != os.getpid():
            return
        self._closed = True
        self.wake()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(3.0)

    # the thread

    def _run(self) -> None:
        try:
            self._read()
        except BaseException as error:  # whatever it is, those who wait must hear of it
            logger.exception("Results are received no more")
            with self._changed:
                self._connected, self._lost_at, self._thread = False, None, None
                self._error = BackendError(f"results are received no more: {type(error).__name__}: {error}")
                self._changed.notify_all()
            self._duty.give_up(self._error)

    def _read(self) -> None:
        pause = _PAUSE
        while not self._closed:
            try:
                wire, channel = self._open()
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
                logger.info("The connection for results is lost and opened again: %s", error)
            finally:
                self._tell(connected=False)
                self._link.discard(wire)

    def _open(self) -> tuple[Wire, Channel]:
        options = self._link.options
        wire = self._link.open(heartbeat=min(options.heartbeat, _HEARTBEAT), title="results")
        try:
            channel = self._duty.subscribe(wire, self._times, monotonic() + options.answer_timeout)
        except Broken as error:
            self._link.discard(wire)
            raise BackendUnavailable(f"{wire.name}: {error}. Check the server") from error
        except Refused as error:
            self._link.discard(wire)
            raise BackendError(
                f"{wire.name}: results cannot be received: {error}. Allow the user to configure, write and read the "
                "queues of results, and give clients and workers the same settings for results"
            ) from error
        wire.watch(self._bell.fileno())
        self._times += 1
        return wire, channel

    def _gives_up(self, error: TQError) -> bool:
        """Tell those who wait for the connection; after a cut it is tried again for a while."""
        with self._changed:
            self._error = error
            self._changed.notify_all()
            for_now = isinstance(error, BackendUnavailable)
            if self._lost_at is not None and for_now and monotonic() - self._lost_at < PATIENCE:
                return False
            self._thread = None
            self._lost_at = None
        self._duty.give_up(error)
        return True

    def _tell(self, *, connected: bool) -> None:
        with self._changed:
            self._connected = connected
            self._lost_at = None if connected else monotonic()
            self._changed.notify_all()

    def _sleep(self, seconds: float) -> None:
        self._bell.settimeout(seconds)
        with suppress(OSError):
            self._bell.recv(4096)
        self._bell.setblocking(False)

    def _receive(self, wire: Wire, channel: Channel) -> None:
        duty, patience = self._duty, self._link.options.answer_timeout
        duty.attend(channel)
        wire.flush(monotonic() + patience)
        while not self._closed:
            # What came while something else was waited for is taken at once.
            wire.pump(0.0 if channel.contents or channel.cancelled else _ASK_AFTER)
            channel.check()
            with suppress(BlockingIOError):
                if self._bell.recv(4096):
                    duty.attend(channel)
            if channel.contents or channel.cancelled:
                duty.take(channel)
            wire.flush(monotonic() + patience)
            wire.beat()
            if monotonic() - wire.heard_at > _ASK_AFTER:
                together([channel], monotonic() + patience)
        duty.leave(channel, monotonic() + 1.0)


def tag_of(arguments: bytes) -> bytes:
    """Return the tag of a delivery, as it stands in its frame."""
    at = 5 + arguments[4]
    return arguments[at : at + 8]
