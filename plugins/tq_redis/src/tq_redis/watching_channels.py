"""One pub/sub connection for everything a process waits for, and the thread that reads it.

The thread does all that is done on the connection. It lives while anybody listens, and a little longer. When the
connection breaks it makes another, subscribes again, and tells every listener that it may have missed something.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeAlias

from redis.exceptions import RedisError

from tq_core.errors import BackendUnavailable, TQError
from tq_redis.connecting import Wire
from tq_redis.link import Command, Link

#: Seconds of silence after which the server is asked whether it is there, and as many to answer.
SILENCE = 4.0

#: Seconds to try to connect again before listeners are given the error, and between two tries.
OUTAGE, RETRY_EVERY = 10.0, 0.1

#: Seconds that the connection is kept when nobody listens.
IDLE = 10.0

#: Channels named by one command.
CHANNELS_AT_ONCE = 500


class Missed:
    """Tells a listener that announcements may have been lost."""


class Woken:
    """Tells a listener that somebody wants it to return."""


#: What a listener is told: channel and payload, or one of the words above, or an error that ended it all.
News: TypeAlias = "tuple[bytes, bytes] | Missed | Woken | TQError"
Inbox: TypeAlias = "SimpleQueue[News]"


class _Silent(Exception):
    """The server does not answer on an open connection."""


class _State:
    """What belongs to one process: a forked child begins with its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.listeners: dict[bytes, list[Inbox]] = {}
        self.orders: list[Command] = []
        self.tickets: dict[bytes, threading.Event] = {}
        self.number = 0
        self.thread: threading.Thread | None = None
        self.error: TQError | None = None
        self.closed = False
        self.waker: socket.socket | None = None

    def wake(self) -> None:
        waker = self.waker
        if waker is not None:
            # When the pipe is full the thread will wake anyway, and when it is closed the thread has ended.
            with suppress(OSError):
                waker.send(b"\0")


class Channels:
    """Subscriptions to the channels of one server, shared by all threads of a process.

    Args:
        link: opens the connection; its health checks must be off, because answers come in between announcements.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._state = _State()

    def _mine(self) -> _State:
        if self._state.pid != os.getpid() or self._state.closed:
            self._state = _State()
        return self._state

    def listen(self, inbox: Inbox, channels: Sequence[bytes]) -> None:
        """Put what is announced on ``channels`` into ``inbox``; returns when the server has heard of it.

        Raises:
            BackendUnavailable: the server cannot be reached or does not answer.
        """
        state = self._mine()
        with state.lock:
            new = [channel for channel in channels if channel not in state.listeners]
            for channel in channels:
                state.listeners.setdefault(channel, []).append(inbox)
            state.number += 1
            ticket = b"%d" % state.number
            heard = state.tickets[ticket] = threading.Event()
            state.orders += [*_by_many(b"SUBSCRIBE", new), (b"PING", ticket)]
            state.error = None
            if state.thread is None:
                self._start(state)
        state.wake()
        options = self._link.options
        answered = heard.wait(options.socket_timeout + options.socket_connect_timeout)
        with state.lock:
            state.tickets.pop(ticket, None)
            error = state.error
        if error is None and answered:
            return
        self.ignore(inbox, channels)
        raise error or BackendUnavailable(f"{self._link.address} did not answer a subscription. Check the server")

    def _start(self, state: _State) -> None:
        state.waker, woken = socket.socketpair()
        for end in (state.waker, woken):
            end.setblocking(False)
        arguments = (state, state.waker, woken)
        state.thread = threading.Thread(target=self._run, args=arguments, name="tq-redis results", daemon=True)
        state.thread.start()

    def ignore(self, inbox: Inbox, channels: Iterable[bytes]) -> None:
        """Put nothing more of ``channels`` into ``inbox``. Never raises."""
        state = self._state
        if state.pid != os.getpid():
            return
        with state.lock:
            deserted = [channel for channel in channels if _leave(state.listeners, channel, inbox)]
            if not deserted:
                return
            # The server may hear of it with whatever it is told next, or after SILENCE: waking the thread for it would
            # cost each result that is waited for as much as its announcement.
            state.orders += _by_many(b"UNSUBSCRIBE", deserted)

    def close(self) -> None:
        """End the thread and its connection. Never raises; may be called twice."""
        state = self._state
        if state.pid != os.getpid():
            return
        with state.lock:
            state.closed = True
            thread = state.thread
        state.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(SILENCE)

    # the thread

    def _run(self, state: _State, waker: socket.socket, woken: socket.socket) -> None:
        with waker, woken:
            try:
                self._keep_listening(state, woken)
            except BaseException as error:  # whatever it is, those who wait must hear of it
                _give_up(state, BackendUnavailable(f"Listening to {self._link.address} failed: {error!r}"))
                raise

    def _keep_listening(self, state: _State, woken: socket.socket) -> None:
        again = False
        while (connection := self._connect(state, patience=OUTAGE if again else 0.0)) is not None:
            try:
                self._subscribe(state, connection, again=again)
                self._serve(state, connection, woken)
                return
            except (RedisError, OSError, _Silent):
                again = True
            finally:
                connection.disconnect()
            time.sleep(RETRY_EVERY)

    def _connect(self, state: _State, patience: float) -> Wire | None:
        """Open a connection; None when that has failed for ``patience`` seconds, or the backend was closed."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return self._link.open()
            except TQError as error:
                if state.closed or time.monotonic() >= deadline:
                    _give_up(state, error)
                    return None
            time.sleep(RETRY_EVERY)

    def _subscribe(self, state: _State, connection: Wire, *, again: bool) -> None:
        """Subscribe to everything; only then say that something was missed, so that nothing is missed unsaid."""
        with state.lock:
            state.orders = [*_by_many(b"SUBSCRIBE", state.listeners), *((b"PING", t) for t in state.tickets)]
            inboxes = _inboxes(state)
        self._obey(state, connection)
        if again:
            for inbox in inboxes:
                inbox.put(Missed())

    def _serve(self, state: _State, connection: Wire, woken: socket.socket) -> None:
        """Read announcements until nobody listens any more.

        Raises:
            RedisError, OSError, _Silent: the connection is of no more use.
        """
        heard = used = time.monotonic()
        asked = False
        with selectors.DefaultSelector() as selector:
            selector.register(_socket_of(connection), selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while not state.closed:
                self._obey(state, connection)
                now = time.monotonic()
                while connection.can_read(0):
                    _deliver(state, connection.read_response())
                    heard, asked = now, False
                if state.listeners:
                    used = now
                elif now - used >= IDLE and _ends(state):
                    return
                if now - heard >= 2 * SILENCE:
                    raise _Silent
                if now - heard >= SILENCE and not asked:
                    asked = True
                    connection.send_packed_command(connection.pack_command(b"PING", b""))
                selector.select(SILENCE)
                _drain(woken)
        _give_up(state, BackendUnavailable("The result backend was closed while results were awaited"))

    def _obey(self, state: _State, connection: Wire) -> None:
        with state.lock:
            orders, state.orders = state.orders, []
        if orders:
            connection.send_packed_command(connection.pack_commands(orders))


def _deliver(state: _State, answer: Any) -> None:
    """Hand over an announcement, or tell who waits that the server has heard."""
    # Where nothing is subscribed, PING is answered without a word before it.
    kind, channel, *payload = answer if isinstance(answer, list) else (b"pong", answer)
    if kind == b"message":
        with state.lock:
            inboxes = list(state.listeners.get(channel, ()))
        for inbox in inboxes:
            inbox.put((channel, payload[0]))
    elif kind == b"pong":
        with state.lock:
            heard = state.tickets.pop(channel, None)
        if heard is not None:
            heard.set()


def _ends(state: _State) -> bool:
    """Let the thread end unless somebody has come meanwhile."""
    with state.lock:
        if state.listeners or state.orders:
            return False
        state.thread = None
        return True


def _give_up(state: _State, error: TQError) -> None:
    with state.lock:
        inboxes = _inboxes(state)
        state.error, state.thread = error, None
        state.listeners, state.orders = {}, []
        tickets, state.tickets = state.tickets, {}
    for inbox in inboxes:
        inbox.put(error)
    for heard in tickets.values():
        heard.set()


def _inboxes(state: _State) -> list[Inbox]:
    return list({id(inbox): inbox for several in state.listeners.values() for inbox in several}.values())


def _leave(listeners: dict[bytes, list[Inbox]], channel: bytes, inbox: Inbox) -> bool:
    """Remove a listener; True when it was the channel's last."""
    inboxes = listeners.get(channel)
    if inboxes is None or inbox not in inboxes:
        return False
    inboxes.remove(inbox)
    if inboxes:
        return False
    del listeners[channel]
    return True


def _by_many(command: bytes, channels: Iterable[bytes]) -> list[Command]:
    names = list(channels)
    return [(command, *names[start : start + CHANNELS_AT_ONCE]) for start in range(0, len(names), CHANNELS_AT_ONCE)]


def _socket_of(connection: Wire) -> socket.socket:
    if connection._sock is None:
        raise ConnectionError("the connection was closed")
    return connection._sock


def _drain(woken: socket.socket) -> None:
    with suppress(BlockingIOError):
        woken.recv(4096)
