"""A broker and a backend behind a TCP port: the memory ones, served to other processes.

``serving()`` starts the server. Clients open ``tests.conformance.doubles.remote:RemoteBroker://127.0.0.1:PORT``. What
travels is a four-byte length and a pickle; every connection is one client thread of one process.
"""

from __future__ import annotations

import os
import pickle
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tq_core.backends.memory import CAPABILITIES as BACKEND_CAPABILITIES
from tq_core.backends.memory import MemoryBackend
from tq_core.brokers.memory import CAPABILITIES as BROKER_CAPABILITIES
from tq_core.brokers.memory import MemoryBroker
from tq_core.contracts.backend import Backend, BackendRequest, ResultRecord
from tq_core.contracts.broker import Broker, BrokerRequest, Consumer, Requeue, Subscription, Succession
from tq_core.errors import BackendUnavailable, BrokerUnavailable, PublishError, TimeoutError, TQError
from tq_core.serializers.json import JSONSerializer
from tq_core.states import READY_STATES

HERE = "tests.conformance.doubles.remote"

# --- both ends


def send(connection: socket.socket, value: Any) -> None:
    data = pickle.dumps(value)
    connection.sendall(struct.pack("!I", len(data)) + data)


def receive(connection: socket.socket) -> Any:
    (size,) = struct.unpack("!I", _exactly(connection, 4))
    return pickle.loads(_exactly(connection, size))


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        if not (more := connection.recv(min(size - len(data), 1 << 20))):
            raise ConnectionError("the other side closed the connection")
        data += more
    return bytes(data)


# --- the server


class _Served:
    """What the clients of one server share."""

    def __init__(self) -> None:
        self._objects: dict[Any, Any] = {}
        self._guards: dict[Any, threading.Lock] = {}

    def call(self, target: tuple[Any, ...], method: str, arguments: tuple[Any, ...]) -> Any:
        """Call a method of an object that was opened before, or is opened by being named."""
        subject = self._objects.get(target)
        if subject is None:
            subject = self._objects[target] = self._open(target)
        value = getattr(subject, method)(*arguments)
        if isinstance(value, Iterator):
            return list(value)
        return value

    def _open(self, target: tuple[Any, ...]) -> Any:
        match target:
            case ("broker", lease):
                return _ServedBroker(BrokerRequest("memory://served", {"lease_duration": lease}, "server"))
            case ("backend", expires):
                accept = frozenset({"application/json"})
                request = BackendRequest("memory://served", {"result_expires": expires}, JSONSerializer(), accept, "s")
                return _ServedBackend(request)
            case ("coordination",):
                return self.call(("backend", None), "coordination", ())
        raise BrokerUnavailable(f"{target} is not open")

    def keep(self, target: tuple[Any, ...], opened: Any) -> None:
        """Keep what a call opened, for later calls."""
        self._objects[target] = opened
        self._guards[target] = threading.Lock()

    def take(self, target: tuple[Any, ...], limit: int, timeout: float, reply: Callable[[Any], None]) -> None:
        """Receive for a consumer, and take back what its client could not be told of."""
        with self._guards[target]:
            deliveries = self._objects[target].receive(limit, timeout)
            try:
                reply(deliveries)
            except OSError:
                self._objects[target].settle([Requeue(d.tag, uncounted=True) for d in deliveries])
                raise


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        served: _Served = self.server.served  # type: ignore[attr-defined]  # see serving()
        with suppress(OSError, EOFError):
            while True:
                target, method, arguments = receive(self.request)
                try:
                    if target[0] == "consumer" and method == "receive":
                        served.take(target, *arguments, lambda value: send(self.request, (False, value)))
                        continue
                    if method.startswith("open "):
                        opened = served.call(arguments[0], method.removeprefix("open "), arguments[1:])
                        served.keep(target, opened)
                        value = None
                    else:
                        value = served.call(target, method, arguments)
                except OSError:
                    raise
                except Exception as error:
                    send(self.request, (True, error))
                else:
                    send(self.request, (False, value))


class _TCPServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def serving() -> Iterator[int]:
    """Serve queues and results on a free port of the loopback interface, and yield the port."""
    with _TCPServer(("127.0.0.1", 0), _Handler) as server:
        server.served = _Served()  # type: ignore[attr-defined]  # for the handlers
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


# --- the clients


class _Line:
    """The connections of one client object: one a thread, none shared with a forked child."""

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit("x://" + url.partition("://")[2])
        self.address = (str(parts.hostname), int(parts.port or 0))
        self.timeout = timeout
        self._local = threading.local()

    def call(self, target: tuple[Any, ...], method: str, *arguments: Any, wait: float = 0.0) -> Any:
        """Call a method over there.

        Raises:
            OSError: with the attribute ``sent``: whether the call may have arrived.
        """
        sent = False
        try:
            connection = self._connection()
            connection.settimeout(self.timeout + wait)
            sent = True
            send(connection, (target, method, arguments))
            raised, value = receive(connection)
        except OSError as error:
            self._drop()
            error.sent = sent  # type: ignore[attr-defined]  # read by who knows what the call was
            raise
        if raised:
            raise value
        return value

    def _connection(self) -> socket.socket:
        local = self._local
        if getattr(local, "pid", None) != os.getpid():
            local.connection = socket.create_connection(self.address, self.timeout)
            local.pid = os.getpid()
        connection: socket.socket = local.connection
        return connection

    def _drop(self) -> None:
        if getattr(self._local, "pid", None) == os.getpid():
            self._local.connection.close()
            self._local.pid = None


class _Remote:
    """Something over there."""

    unavailable: type[TQError] = BrokerUnavailable

    def __init__(self, line: _Line, target: tuple[Any, ...]) -> None:
        self._line = line
        self._target = target
        self._woken = threading.Event()
        self._pid = os.getpid()

    def _call(self, method: str, *arguments: Any, wait: float = 0.0) -> Any:
        try:
            return self._line.call(self._target, method, *arguments, wait=wait)
        except OSError as error:
            raise self.unavailable(f"{self._line.address} does not answer: {error}") from error

    def _slices(self, timeout: float, look: Callable[[float], Any]) -> Any:
        """Wait in slices, so that a server that says nothing is noticed."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(deadline - time.monotonic(), 0.0)
            found = look(min(left, 0.1))
            if found or not left or self._woken.is_set():
                self._woken.clear()
                return found

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        if self._pid == os.getpid():
            with suppress(TQError):
                self._call("close")


def _forwarded(name: str) -> Any:
    def method(self: Any, *arguments: Any) -> Any:
        return self._call(name, *arguments)

    return method


class RemoteConsumer(_Remote, Consumer):
    begin = _forwarded("begin")
    renew = _forwarded("renew")
    set_queues = _forwarded("set_queues")

    def receive(self, limit: int, timeout: float) -> Any:
        return self._slices(timeout, lambda slice_: self._call("receive", limit, slice_, wait=slice_))

    def settle(self, settlements: Any, follow_ups: Any = ()) -> Any:
        return self._call("settle", list(settlements), list(follow_ups))


class RemoteSuccession(_Remote, Succession):
    held = _forwarded("held")
    settle = _forwarded("settle")


class RemoteSubscription(_Remote, Subscription):
    def receive(self, timeout: float) -> Any:
        return self._slices(timeout, lambda slice_: self._call("receive", slice_, wait=slice_))


class RemoteBroker(_Remote, Broker):
    """A broker whose queues are over there."""

    capabilities = replace(BROKER_CAPABILITIES, shared=True)
    BREAKS: frozenset[str] = frozenset()

    def __init__(self, request: BrokerRequest) -> None:
        lease = float(request.settings.get("lease_duration") or 8.0)
        timeout = min(float(request.settings.get("broker_connection_timeout") or 4.0), 4.0)
        super().__init__(_Line(request.url, timeout), ("broker", lease))
        self._opened: list[_Remote] = []

    def connect(self, timeout: float) -> None:
        self._call("connect", timeout)

    def publish(self, messages: Any) -> None:
        try:
            self._line.call(self._target, "publish", list(messages))
        except OSError as error:
            text = f"{self._line.address} does not answer: {error}"
            raise PublishError(text, unsent=[m.id for m in messages], maybe_sent=error.sent) from error  # type: ignore[attr-defined]  # see _Line

    def _opening(self, kind: type[Any], name: str, how: str, *arguments: Any) -> Any:
        opened = kind(self._line, (name, os.urandom(8)))
        self._opened.append(opened)
        opened._call(f"open {how}", self._target, *arguments)
        return opened

    def consumer(self, queues: Any, *, consumer_id: str, prefetch: int = 0) -> Any:
        # The far side takes the id by position: it has a method of its own for that.
        return self._opening(RemoteConsumer, "consumer", "_consumer", list(queues), consumer_id)

    def succeed(self, consumer_id: str) -> Any:
        return self._opening(RemoteSuccession, "succession", "succeed", consumer_id)

    def listen(self, channel: str) -> Any:
        return self._opening(RemoteSubscription, "subscription", "listen", channel)

    def dead_letters(self, *, queue: str | None = None, limit: int = 100) -> Any:
        return iter(self._call("_dead_letters", queue, limit))

    def close(self) -> None:
        for opened in self._opened:
            opened.close()


for _name in ("broadcast", "queues", "depth", "peek", "purge", "move", "pause", "resume", "paused"):
    setattr(RemoteBroker, _name, _forwarded(_name))
for _name in ("dead_letter", "bury", "exhume", "drop_dead"):
    setattr(RemoteBroker, _name, _forwarded(_name))


class _ServedBroker(MemoryBroker):
    """The memory broker with its keyword arguments by position."""

    def _consumer(self, queues: Sequence[str], consumer_id: str) -> Consumer:
        return self.consumer(queues, consumer_id=consumer_id)

    def _dead_letters(self, queue: str | None, limit: int) -> list[Any]:
        return list(self.dead_letters(queue=queue, limit=limit))


class RemoteBackend(_Remote, Backend):
    """A backend whose records are over there; it looks for results now and then."""

    capabilities = replace(BACKEND_CAPABILITIES, shared=True, push=False, subscribe=False)
    unavailable = BackendUnavailable

    def __init__(self, request: BackendRequest) -> None:
        expires = request.settings.get("result_expires")
        expires = expires if isinstance(expires, float) else None
        super().__init__(_Line(request.url, 2.0), ("backend", expires))

    def connect(self, timeout: float) -> None:
        self._call("fetch", [])

    def add_chord_parts(self, parts: Any, *, claimant: str, lease: float) -> Any:
        return self._call("_add_chord_parts", list(parts), claimant, lease)

    def watch(self, task_ids: Any, *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        waiting = list(dict.fromkeys(task_ids))
        deadline = None if timeout is None else time.monotonic() + timeout
        while waiting:
            for task_id, record in self.fetch(waiting).items():
                if record.state in READY_STATES:
                    waiting.remove(task_id)
                    yield record
            if waiting and deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"{len(waiting)} results did not come within {timeout} s")
            threading.Event().wait(min(interval, 0.05) if waiting else 0)

    def close(self) -> None:
        """Leave the records where they are."""

    def coordination(self) -> Any:
        return RemoteCoordination(self._line, ("coordination",))


class RemoteCoordination(_Remote):
    unavailable = BackendUnavailable


class _ServedBackend(MemoryBackend):
    """The memory backend with its keyword arguments by position."""

    def _add_chord_parts(self, parts: Any, claimant: str, lease: float) -> list[str]:
        return self.add_chord_parts(parts, claimant=claimant, lease=lease)


for _name in ("store", "fetch", "forget", "clean_up", "save_group", "load_group", "delete_group", "open_chord"):
    setattr(RemoteBackend, _name, _forwarded(_name))
for _name in ("enlarge_chord", "chord_parts", "close_chord"):
    setattr(RemoteBackend, _name, _forwarded(_name))
for _name in ("acquire", "renew", "release", "count", "add", "take", "put", "get", "delete", "scan"):
    setattr(RemoteCoordination, _name, _forwarded(_name))
for _kind in (RemoteBroker, RemoteBackend):
    _kind.__abstractmethods__ = frozenset()


class DeniesDoubling(RemoteBroker):
    """It says that nothing was sent whenever the connection fails."""

    ONLY = ("network.unanswered", "network.refused", "network.secret")
    BREAKS = frozenset({"network.unanswered"})

    def publish(self, messages: Any) -> None:
        try:
            super().publish(messages)
        except PublishError as error:
            raise PublishError(str(error), unsent=error.unsent, maybe_sent=False) from error


class RaisesItsClientsErrors(RemoteBroker):
    """That a connection is refused leaves it as the socket said it."""

    ONLY = ("network",)
    BREAKS = frozenset({"network.refused", "network.secret"})

    def _call(self, method: str, *arguments: Any, wait: float = 0.0) -> Any:
        try:
            return super()._call(method, *arguments, wait=wait)
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, ConnectionRefusedError):
                raise error.__cause__ from None
            raise


class WaitsForEver(RemoteBroker):
    """It gives a silent server all the time it wants."""

    ONLY = ("network",)
    BREAKS = frozenset({"network.silent", "network.unanswered"})

    def __init__(self, request: BrokerRequest) -> None:
        super().__init__(request)
        self._line.timeout = 3600.0


class MovesThroughItself(RemoteBroker):
    """What it moves is in its own memory until it is called again."""

    ONLY = ("move.killed",)
    BREAKS = frozenset({"move.killed"})

    def move(self, source: str, target: str, limit: int | None = None) -> Any:
        self.publish(self.__dict__.pop("carried", []))
        carried = [delivery.message for delivery in self.peek(source, 1 << 20)]
        self.purge(source)
        self.carried = [replace(message, queue=target) for message in carried]
        return len(carried)


#: The broken ones; ``ONLY`` names the checks to try.
ALL = [DeniesDoubling, RaisesItsClientsErrors, WaitsForEver, MovesThroughItself]
