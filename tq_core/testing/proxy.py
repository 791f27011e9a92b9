"""A TCP proxy that misbehaves on demand: what stands between a client and a server, and fails.

A test points its client at the proxy and then cuts, stalls or refuses, as a network does. One thread of its
own moves the bytes, so that it works beside threads, forks and event loops alike.
"""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

#: Most bytes read at once, and most that one direction holds back before it stops reading.
CHUNK, HELD = 65_536, 1 << 20

#: Seconds to reach the server behind, and seconds any command to the proxy may take.
REACH, PATIENCE = 5.0, 10.0

#: Closing a socket with this option sends a reset instead of an orderly end.
RESET = struct.pack("ii", 1, 0)


class Mode(Enum):
    """What the proxy does to the bytes that it is given."""

    PASS = "pass"
    STALL = "stall"
    SWALLOW_REPLIES = "swallow replies"
    REFUSE = "refuse"


class _Pair:
    """A client's connection and the one made to the server for it; ``held[s]`` waits to be sent to ``s``."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.held = {client: bytearray(), server: bytearray()}
        self.ended: set[socket.socket] = set()

    def other(self, side: socket.socket) -> socket.socket:
        return self.server if side is self.client else self.client

    def read(self, side: socket.socket, mode: Mode) -> None:
        """Take what ``side`` has sent.

        Raises:
            OSError: the connection is gone.
        """
        data = side.recv(CHUNK)
        if not data:
            self.ended.add(side)
        elif not (side is self.server and mode is Mode.SWALLOW_REPLIES):
            self.held[self.other(side)] += data

    def write(self, side: socket.socket) -> None:
        """Send ``side`` what is held for it, and the end of the stream after the last byte.

        Raises:
            OSError: the connection is gone.
        """
        held = self.held[side]
        if held:
            with suppress(BlockingIOError):
                del held[: side.send(held)]
        if not held and self.other(side) in self.ended:
            side.shutdown(socket.SHUT_WR)

    def events(self, side: socket.socket, mode: Mode) -> int:
        """Return what to wait for on ``side``."""
        if mode is Mode.STALL:
            return 0
        wanted = 0
        if side not in self.ended and len(self.held[self.other(side)]) < HELD:
            wanted |= selectors.EVENT_READ
        if self.held[side]:
            wanted |= selectors.EVENT_WRITE
        return wanted

    def close(self, *, reset: bool) -> None:
        for side in (self.client, self.server):
            with suppress(OSError):
                if reset:
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                side.close()


class Proxy:
    """A TCP server on loopback that hands everything on to another one.

    Its verbs may be called from any thread; each returns when it is in force. Bytes that the proxy does not
    move are still acknowledged by the operating system, so keep-alive probes are answered while it stalls: a
    client notices by a deadline of its own, as it must when a server hangs.

    Args:
        host: of the server.
        port: of the server.

    Attributes:
        host: where clients connect to.
        port: where clients connect to; stays the same through :meth:`refuse` and :meth:`resume`.

    Raises:
        OSError: no port could be had.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._mode = Mode.PASS
        self._pairs: set[_Pair] = set()
        self._of: dict[socket.socket, _Pair] = {}
        self._selector = selectors.DefaultSelector()
        self._commands: list[tuple[Callable[[], None], threading.Event]] = []
        self._guard = threading.Lock()
        self._changed = threading.Condition()
        self._closed = False
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._listener: socket.socket | None = self._listen(0)
        self.host, self.port = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._serve, name=f"proxy to {host}:{port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """How many connections are open through the proxy now."""
        return len(self._pairs)

    def wait_for_connections(self, count: int, timeout: float = PATIENCE) -> None:
        """Wait until at least ``count`` connections are open.

        Raises:
            TimeoutError: there were fewer after ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._pairs) >= count, timeout):
                raise TimeoutError(f"{len(self._pairs)} of {count} connections came within {timeout:g} s")

    def cut(self) -> int:
        """Reset every open connection; new ones are welcome. Returns how many were cut."""
        return self._command(self._drop_all)

    def refuse(self) -> None:
        """Reset every connection and refuse new ones, as a server that is down."""
        self._command(lambda: self._enter(Mode.REFUSE))

    def stall(self) -> None:
        """Hold every byte back in both directions; new connections are accepted and hear nothing."""
        self._command(lambda: self._enter(Mode.STALL))

    def swallow_replies(self) -> None:
        """Hand on what clients say and lose what the server answers: the client cannot know what was done."""
        self._command(lambda: self._enter(Mode.SWALLOW_REPLIES))

    def resume(self) -> None:
        """Behave again; bytes that were held back are delivered, swallowed ones are gone."""
        self._command(lambda: self._enter(Mode.PASS))

    def close(self) -> None:
        """Reset every connection and stop. Closing twice does nothing."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
        self._wake()
        self._thread.join(PATIENCE)

    # The rest runs in the proxy's thread.

    def _command(self, action: Callable[[], object]) -> int:
        answer: list[object] = []
        done = threading.Event()
        with self._guard:
            if self._closed:
                raise RuntimeError("the proxy is closed")
            self._commands.append((lambda: answer.append(action()), done))
        self._wake()
        if not done.wait(PATIENCE):
            raise TimeoutError("the proxy's thread does not answer")
        return answer[0] if answer and isinstance(answer[0], int) else 0

    def _wake(self) -> None:
        with suppress(OSError):
            self._waker.send(b"\0")

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        listener.setblocking(False)
        return listener

    def _enter(self, mode: Mode) -> None:
        self._mode = mode
        if mode is Mode.REFUSE:
            if self._listener is not None:
                self._watch(self._listener, 0)
                self._listener.close()
                self._listener = None
            self._drop_all()
        elif self._listener is None:
            self._listener = self._listen(self.port)

    def _drop_all(self) -> int:
        dropped = len(self._pairs)
        for pair in list(self._pairs):
            self._drop(pair, reset=True)
        return dropped

    def _serve(self) -> None:
        while not self._closed:
            self._obey()
            if self._listener is not None:
                # Connections that come while it stalls wait in the system's queue, accepted and silent.
                self._watch(self._listener, 0 if self._mode is Mode.STALL else selectors.EVENT_READ)
            for side, pair in self._of.items():
                self._watch(side, pair.events(side, self._mode))
            for key, events in self._selector.select():
                self._attend(key.fileobj, events)
        self._enter(Mode.REFUSE)
        self._obey()
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def _obey(self) -> None:
        with self._guard:
            commands, self._commands = self._commands, []
        for action, done in commands:
            action()
            done.set()

    def _watch(self, side: socket.socket, events: int) -> None:
        registered = self._selector.get_map().get(side)
        if registered is None:
            if events:
                self._selector.register(side, events)
        elif not events:
            self._selector.unregister(side)
        elif registered.events != events:
            self._selector.modify(side, events)

    def _attend(self, fileobj: object, events: int) -> None:
        if fileobj is self._woken:
            with suppress(BlockingIOError):
                self._woken.recv(CHUNK)
        elif fileobj is self._listener:
            self._accept()
        elif isinstance(fileobj, socket.socket) and (pair := self._of.get(fileobj)) is not None:
            self._move(pair, fileobj, events)

    def _move(self, pair: _Pair, side: socket.socket, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                pair.read(side, self._mode)
                pair.write(pair.other(side))
            if events & selectors.EVENT_WRITE:
                pair.write(side)
        except BlockingIOError:
            return
        except OSError as error:
            # A reset is handed on as one; any other end is an ordinary one.
            self._drop(pair, reset=error.errno == errno.ECONNRESET)
            return
        if len(pair.ended) == 2 and not any(pair.held.values()):
            self._drop(pair, reset=False)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except OSError:  # it hung up before it was its turn
            return
        try:
            server = socket.create_connection(self._target, REACH)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            return
        pair = _Pair(client, server)
        for side in (client, server):
            side.setblocking(False)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._of[side] = pair
        with self._changed:
            self._pairs.add(pair)
            self._changed.notify_all()

    def _drop(self, pair: _Pair, *, reset: bool) -> None:
        for side in (pair.client, pair.server):
            self._watch(side, 0)
            self._of.pop(side, None)
        pair.close(reset=reset)
        with self._changed:
            self._pairs.discard(pair)
            self._changed.notify_all()
