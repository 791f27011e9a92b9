"""The listening connection: one a process and server, in a thread of its own, for all bells of the process.

It comes back by itself when it is lost. Until then bells hear nothing, and those who wait look by themselves.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any

import psycopg

from tq_sqlalchemy.postgresql.ringing import CHANNEL, NUMBER, RING, WAIT, WAIT_NO_MORE
from tq_sqlalchemy.waking import LOOK, WAKE, Bell
from tq_sqlalchemy.waking import RING as RUNG

if TYPE_CHECKING:
    from tq_sqlalchemy.server.connections import Connections

logger = logging.getLogger("tq.sqlalchemy")

#: Seconds somebody who begins to wait gives the listener to make that known.
ANNOUNCING = 1.0

#: Seconds of silence after which the listener asks whether its server still answers, and seconds for that answer.
SILENCE, ANSWER = 10.0, 4.0

#: Seconds for which a bell that is taken down still counts as waiting, by kind: who comes back by then, as one who runs
#: short tasks does, has cost the server nothing.
LINGER = {"consumers": 0.02, "watchers": 1.0, "listeners": 1.0}

#: Seconds without any bell after which the connection is given up.
UNUSED = 60.0

#: Seconds between attempts to connect, growing from the first to the last.
FIRST_PAUSE, LAST_PAUSE = 0.05, 1.0

Topic = tuple[str, str]


class ListeningBell(Bell):
    """A bell that others ring by NOTIFY."""

    def __init__(self, listener: Listener, kind: str, names: Collection[str]) -> None:
        super().__init__()
        self.topics: list[Topic] = [(kind, name) for name in names or ("",)]
        self._listener = listener
        self._heard: deque[bytes] = deque()
        self._announced = False

    def ring(self, payload: bytes) -> None:
        """Be rung; from any thread."""
        self._heard.append(payload)
        self._event.set()

    def is_rung(self) -> bool:
        """True when somebody else has rung and nobody has heard it yet."""
        return any(payload != WAKE for payload in tuple(self._heard))

    def announce(self) -> None:
        if not self._announced:
            self._announced = True
            self._listener.add(self)

    def retract(self) -> None:
        if self._announced:
            self._announced = False
            self._listener.remove(self, LINGER[self.topics[0][0]])

    def wait(self, timeout: float) -> list[bytes]:
        self._event.wait(max(timeout, 0.0))
        self._event.clear()
        heard = []
        with suppress(IndexError):
            while True:
                heard.append(self._heard.popleft())
        return heard

    def wake(self) -> None:
        self.ring(WAKE)

    def close(self) -> None:
        self._announced = False
        self._listener.remove(self, 0.0)


class Listener:
    """The bells of one process for one server.

    Args:
        connections: to the server.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._lock = threading.Lock()
        self._bells: dict[Topic, list[ListeningBell]] = {}
        self._leaving: dict[ListeningBell, float] = {}
        self._wakes_at = 0.0
        self._commands: deque[tuple[Callable[[Any], None], threading.Event | None]] = deque()
        self._numbers: dict[Topic, int] = {}
        self._topics: dict[int, Topic] = {}
        self._locked: set[Topic] = set()
        self._resting = False
        self._thread: threading.Thread | None = None
        self._connected = False
        self._nudge_out, self._nudge_in = os.pipe()
        os.set_blocking(self._nudge_in, False)
        os.set_blocking(self._nudge_out, False)

    def add(self, bell: ListeningBell) -> None:
        """Let a bell hear what is committed from now on; waits until the server knows, within bounds."""
        known: list[threading.Event] = []
        with self._lock:
            if self._leaving.pop(bell, None) is not None:
                return  # the server has not been told otherwise
            for topic in bell.topics:
                bells = self._bells.setdefault(topic, [])
                bells.append(bell)
                if len(bells) == 1:
                    event = threading.Event()
                    self._commands.append((partial(self._begin, topic), event))
                    if self._connected:
                        known.append(event)
            self._resting = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tq listener", daemon=True)
                self._thread.start()
        self._nudge()
        deadline = time.monotonic() + ANNOUNCING
        for event in known:
            event.wait(max(0.0, deadline - time.monotonic()))

    def remove(self, bell: ListeningBell, linger: float) -> None:
        """Let a bell hear nothing more when ``linger`` seconds are over; does not wait."""
        leaves_at = time.monotonic() + linger
        with self._lock:
            if bell not in self._bells.get(bell.topics[0], ()):
                return
            self._leaving[bell] = leaves_at
        if leaves_at < self._wakes_at:
            self._nudge()

    def ring(self, parameters: dict[str, Any]) -> bool:
        """Ring others soon, after what was told before; False when that is not possible now."""
        if not self._connected:
            return False
        with self._lock:
            self._commands.append((lambda raw: raw.execute(RING, parameters), None))
        self._nudge()
        return True

    def rest(self) -> None:
        """Give up the connection if there is no bell; the next bell opens another."""
        self._resting = True
        self._nudge()

    def abandon(self) -> None:
        """Let go, in a forked child, of what belongs to the parent."""
        os.close(self._nudge_in)
        os.close(self._nudge_out)

    def _nudge(self) -> None:
        with suppress(OSError):  # full: the thread is as good as awake
            os.write(self._nudge_in, b"n")

    # what follows runs in the listener's own thread

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            session = self._connections.take()
            try:
                session.open(time.monotonic() + ANSWER)
                self._set_up(session.raw)
                pause = FIRST_PAUSE
                self._listen(session.raw)
            except psycopg.Error as error:
                logger.debug("the listening connection was lost: %s", error)
            except Exception:
                logger.warning("the listening connection failed; it is opened again", exc_info=True)
            finally:
                self._connected = False
                session.close()
                self._connections.give(session)
                self._release_all()
            if self._is_over():
                return  # nobody needs another connection
            time.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE)

    def _is_over(self) -> bool:
        """True when there is no bell; then the thread must end, and the next bell starts another."""
        with self._lock:
            if self._bells or self._commands:
                return False
            self._resting = False
            self._thread = None
            return True

    def _release_all(self) -> None:
        with self._lock:
            waiting = [event for _, event in self._commands if event is not None]
            self._commands.clear()
        for event in waiting:
            event.set()

    def _set_up(self, raw: Any) -> None:
        self._locked.clear()
        raw.add_notify_handler(self._heard)
        raw.execute(f"SET lock_timeout = {int(ANNOUNCING * 500)}")
        raw.execute(f"LISTEN {CHANNEL}{raw.info.backend_pid}")
        with self._lock:
            topics = list(self._bells)
            early = [event for _, event in self._commands if event is not None]
            self._commands.clear()
            self._connected = True
        for topic in topics:
            self._wait_for(raw, topic)
        for event in early:
            event.set()
        with self._lock:
            bells = [bell for bells in self._bells.values() for bell in bells]
        for bell in bells:
            bell.ring(LOOK)  # whatever happened meanwhile

    def _listen(self, raw: Any) -> None:
        """Serve until the connection fails, or nobody needs it any more."""
        watch = poll()
        watch.register(raw.pgconn.socket, POLLIN)
        watch.register(self._nudge_out, POLLIN)
        used_at = heard_at = time.monotonic()
        while True:
            ready = watch.poll(self._patience() * 1000)
            now = time.monotonic()
            self._connections.server.bound(raw, now + ANSWER)
            if not ready and now - heard_at > SILENCE:
                raw.execute("SELECT 1")
                heard_at = now
            for descriptor, _ in ready:
                if descriptor == self._nudge_out:
                    with suppress(OSError):
                        os.read(self._nudge_out, 4096)
                else:
                    self._read(raw)
                    heard_at = now
            if self._leaving:
                self._let_go(now)
            while self._commands:
                self._obey(raw)
            if self._bells:
                used_at = now
            elif self._resting or now - used_at > UNUSED:
                return

    def _patience(self) -> float:
        """Return the seconds until there is something to do by itself."""
        now = time.monotonic()
        # Announced before the look, so that whoever leaves later knows that he has to wake this thread.
        self._wakes_at = now + SILENCE
        with self._lock:
            self._wakes_at = min(self._leaving.values(), default=self._wakes_at)
        return max(0.0, self._wakes_at - now)

    def _let_go(self, now: float) -> None:
        """Forget the bells whose time is over; what one of them has not heard goes to somebody else."""
        with self._lock:
            gone = [bell for bell, leaves_at in self._leaving.items() if leaves_at <= now]
            for bell in gone:
                del self._leaving[bell]
                for topic in bell.topics:
                    self._bells[topic].remove(bell)
                    if not self._bells[topic]:
                        del self._bells[topic]
                        self._commands.append((partial(self._end, topic), None))
        for bell in gone:
            if bell.topics[0][0] == "consumers" and bell.is_rung():
                for kind, name in bell.topics:
                    self.ring({"kind": kind, "name": name, "most": 1, "payload": RUNG.decode()})

    def _read(self, raw: Any) -> None:
        raw.pgconn.consume_input()
        while (notify := raw.pgconn.notifies()) is not None:
            self._tell(notify.extra)

    def _obey(self, raw: Any) -> None:
        command, event = self._commands.popleft()
        try:
            command(raw)
        finally:
            if event is not None:
                event.set()

    def _begin(self, topic: Topic, raw: Any) -> None:
        if topic in self._bells:
            self._wait_for(raw, topic)

    def _end(self, topic: Topic, raw: Any) -> None:
        if topic in self._locked and topic not in self._bells:
            self._locked.discard(topic)
            raw.execute(WAIT_NO_MORE, {"topic": self._numbers[topic]})

    def _wait_for(self, raw: Any, topic: Topic) -> None:
        if topic in self._locked:
            return
        self._locked.add(topic)
        number = self._numbers.get(topic)
        if number is None:
            (number,) = raw.execute(NUMBER, {"kind": topic[0], "name": topic[1]}).fetchone()
            self._numbers[topic], self._topics[number] = number, topic
        with suppress(psycopg.errors.LockNotAvailable):  # a writer that takes long; looking by oneself must do
            raw.execute(WAIT, {"topic": number})

    def _heard(self, notify: psycopg.Notify) -> None:
        self._tell(notify.payload.encode())

    def _tell(self, said: bytes) -> None:
        number, _, payload = said.partition(b" ")
        topic = self._topics.get(int(number))
        if topic is None:
            return
        with self._lock:
            bells = list(self._bells.get(topic, ()))
        for bell in bells:
            bell.ring(payload)
