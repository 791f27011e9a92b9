"""Talks to Redis: one connection for each thread, one policy for what happens when it breaks.

The policy: a connection is looked at before it is used; a broken one is replaced, and what may be sent twice is sent
once more; a server that stays silent is not waited for a second time. Everything else is for the caller to repeat.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from redis.exceptions import (
    AuthenticationError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from tq_core.errors import TQError
from tq_redis.address import Address, tls_options
from tq_redis.connecting import Wire, connector
from tq_redis.leading import ELSEWHERE, LONELY, not_here
from tq_redis.options import ConnectionOptions
from tq_redis.script import Script

#: Linux tells that the peer has ended the connection; elsewhere the next command finds out.
_CLOSED: int = getattr(select, "POLLRDHUP", 0)

#: One command: its name and arguments.
Command: TypeAlias = Sequence[Any]


class Broken(Exception):
    """The server could not be reached or did not answer.

    Attributes:
        sent: True when it may have received and carried out what it was sent.
    """

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


class Link:
    """The way to one Redis, or to the one node of a cluster that has a deployment's queues.

    Any thread, any process: each gets connections of its own.

    Args:
        address: where it is.
        options: how to connect.
        unavailable: raised when it cannot be reached or does not answer.
        refused: raised when it answers with an error.
        make: makes its connections; None for those that the address asks for.
    """

    def __init__(
        self,
        address: Address,
        options: ConnectionOptions,
        *,
        unavailable: type[TQError],
        refused: type[TQError],
        make: Callable[[], Wire] | None = None,
    ) -> None:
        self.address = address
        self.options = options
        self._unavailable = unavailable
        self._refused = refused
        self._make = make or connector(address, options)
        self._mine = threading.local()
        self._all: weakref.WeakSet[Wire] = weakref.WeakSet()
        self._lock = threading.Lock()

    def ping(self, timeout: float) -> None:
        """Make sure that the server answers.

        Args:
            timeout: seconds to wait for it at most.

        Raises:
            unavailable: it does not.
        """
        short = self.within(timeout)
        try:
            short.greet()
        finally:
            short.close()

    def greet(self) -> None:
        """Have the server answer; like :meth:`call`."""
        self.call("PING")

    def together(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        """Return the places of those keys that one command or script may name together."""
        return (range(len(keys)),)

    def within(self, seconds: float) -> Link:
        """Return a link to the same server, with connections of its own, that waits for it so long at most."""
        options = replace(
            self.options,
            socket_timeout=min(seconds, self.options.socket_timeout),
            socket_connect_timeout=min(seconds, self.options.socket_connect_timeout),
        )
        return type(self)(self.address, options, unavailable=self._unavailable, refused=self._refused)

    def call(self, *command: Any, again: bool = True) -> Any:
        """Send one command and return its answer.

        Args:
            command: name and arguments.
            again: False when sending it twice would do harm.

        Raises:
            unavailable: the server cannot be reached or does not answer.
            refused: it answered with an error.
        """
        return self.calls([command], again=again)[0]

    def calls(self, commands: Sequence[Command], *, again: bool = True) -> list[Any]:
        """Send several commands in one round trip and return their answers; like :meth:`call`."""
        try:
            answers = self.attempt(commands, again=again)
        except Broken as error:
            raise self._unavailable(str(error)) from error
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise self._refusal(answer)
        return answers

    def run(self, script: Script, keys: Sequence[Any], arguments: Sequence[Any], *, again: bool = True) -> Any:
        """Run a script and return its answer; like :meth:`call`."""
        try:
            return self.attempt_run(script, keys, arguments, again=again)
        except Broken as error:
            raise self._unavailable(str(error)) from error

    def attempt_run(self, script: Script, keys: Sequence[Any], arguments: Sequence[Any], *, again: bool = True) -> Any:
        """Like :meth:`run`, but raise :class:`Broken`, which tells whether it may have been carried out."""
        (answer,) = self.attempt([("EVALSHA", script.sha, len(keys), *keys, *arguments)], again=again)
        if isinstance(answer, NoScriptError):
            (answer,) = self.attempt([("EVAL", script.text, len(keys), *keys, *arguments)], again=again)
        if isinstance(answer, ResponseError):
            raise self._refusal(answer)
        return answer

    def runs(self, script: Script, calls: Sequence[tuple[Sequence[Any], Sequence[Any]]]) -> list[Any]:
        """Run a script several times in one round trip, each time with other keys and arguments; like :meth:`run`."""
        commands = [("EVALSHA", script.sha, len(keys), *keys, *arguments) for keys, arguments in calls]
        try:
            answers = self.attempt(commands)
            unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:
                whole = [("EVAL", script.text, *commands[place][2:]) for place in unknown]
                for place, answer in zip(unknown, self.attempt(whole), strict=True):
                    answers[place] = answer
        except Broken as error:
            raise self._unavailable(str(error)) from error
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise self._refusal(answer)
        return answers

    def attempt(self, commands: Sequence[Command], *, again: bool = True) -> list[Any]:
        """Send commands in one round trip; an answer may be a ``ResponseError``.

        Raises:
            Broken: the server cannot be reached or does not answer.
        """
        connection = self._connection()
        fresh = connection._sock is None
        try:
            return self._exchange(connection, commands)
        except Broken as error:
            new = fresh and not isinstance(error.__cause__, ELSEWHERE)
            if new or (error.sent and not again) or isinstance(error.__cause__, RedisTimeout):
                raise
        return self._exchange(connection, commands)

    def _exchange(self, connection: Wire, commands: Sequence[Command]) -> list[Any]:
        self._send(connection, commands)
        answers, elsewhere = self._receive(connection, len(commands))
        if elsewhere:
            # Another connection may lead to the one that does carry it out.
            connection.disconnect()
            raise Broken(self._told(elsewhere[0]), sent=len(elsewhere) < len(answers)) from elsewhere[0]
        return answers

    def _send(self, connection: Wire, commands: Sequence[Command]) -> None:
        """Send commands, on a new connection where the old one is of no use.

        Raises:
            Broken: it cannot be done.
        """
        sent = False
        try:
            if self._is_stale(connection):
                connection.disconnect()
            if connection._sock is None:
                connection.connect()
            sent = True
            if len(commands) == 1:
                connection.send_packed_command(connection.pack_command(*commands[0]))
            else:
                connection.send_packed_command(connection.pack_commands(commands))
        except (RedisError, OSError) as error:
            connection.disconnect()
            raise Broken(self._told(error), sent=sent) from error
        except BaseException:
            connection.disconnect()
            raise

    def _receive(self, connection: Wire, count: int) -> tuple[list[Any], list[ResponseError]]:
        """Return the answers to so many commands, errors among them, and which of these say "not here".

        Raises:
            Broken: they do not come.
        """
        answers: list[Any] = []
        elsewhere: list[ResponseError] = []
        try:
            for _ in range(count):
                try:
                    answers.append(connection.read_response())
                except ResponseError as error:
                    answers.append(error)
                    if not_here(error):
                        elsewhere.append(error)
        except (RedisError, OSError) as error:
            connection.disconnect()
            raise Broken(self._told(error), sent=True) from error
        except BaseException:
            # Answers that nobody read would be taken for those of the next command.
            connection.disconnect()
            raise
        return answers, elsewhere

    def _is_stale(self, connection: Wire) -> bool:
        """Tell whether the server closed this thread's connection, or said something nobody asked for."""
        found = connection._sock
        if found is None:
            return False
        mine = self._mine
        if mine.watched is not found:
            # TLS sends bytes of its own at any time; there only the end of the connection counts.
            mine.poll = select.poll()
            mine.poll.register(found, _CLOSED | select.POLLIN if type(found) is socket.socket else _CLOSED)
            mine.watched = found
        return bool(mine.poll.poll(0))

    def _connection(self) -> Wire:
        mine = self._mine
        connection: Wire | None = getattr(mine, "connection", None)
        if connection is None or mine.pid != os.getpid():
            connection = mine.connection = self._make()
            mine.pid = os.getpid()
            mine.watched = None
            with self._lock:
                self._all.add(connection)
        return connection

    def open(self) -> Wire:
        """Return a connected connection that belongs to the caller.

        Raises:
            unavailable: the server cannot be reached.
        """
        connection = self._make()
        try:
            connection.connect()
        except (RedisError, OSError) as error:
            connection.disconnect()
            raise self.broken(error) from error
        return connection

    def broken(self, error: Exception) -> TQError:
        """Return what to raise for an error of redis-py's."""
        return self._unavailable(self._told(error))

    def _refusal(self, error: ResponseError) -> TQError:
        if isinstance(error, OutOfMemoryError):
            return self._refused(f"{self.address} is out of memory: {error}. Raise its maxmemory, or drain its queues")
        return self._refused(f"{self.address} refused: {error}")

    def _told(self, error: Exception) -> str:
        if isinstance(error, RedisTimeout):
            seconds = self.options.socket_timeout
            return f"{self.address} did not answer within {seconds:g} s. Check the server, and socket_timeout: {error}"
        if isinstance(error, AuthenticationError):
            return f"{self.address} refused the user or password: {error}"
        if str(error).startswith(LONELY):
            return f"{self.address} has lost its replicas and takes nothing: {error}. See its min-replicas-to-write"
        if isinstance(error, ReadOnlyError):
            return f"{self.address} is a replica, or has just become one: {error}"
        if isinstance(error, ELSEWHERE):
            if not self.address.cluster:
                return f"{self.address} is one node of a Redis Cluster: {error}. Write its URL as redis+cluster://…"
            return (
                f"{self.address} has no master for these keys now, or is moving them: {error}. It goes on by itself "
                "when the cluster does; see CLUSTER INFO"
            )
        return f"{self.address} cannot be used: {error}. Check that the server runs and the URL is right"

    def close(self) -> None:
        """Close the connections of this process. Never raises; may be called twice."""
        with self._lock:
            connections, self._all = list(self._all), weakref.WeakSet()
        self._mine = threading.local()
        for connection in connections:
            if connection.pid == os.getpid():
                connection.disconnect()


def open_link(
    address: Address, options: ConnectionOptions, tls: Any, *, unavailable: type[TQError], refused: type[TQError]
) -> Link:
    """Open the link that a request describes.

    Args:
        address: from the URL.
        options: from the transport options.
        tls: ``broker_use_ssl`` or ``redis_backend_use_ssl``.
        unavailable: raised when the server cannot be reached.
        refused: raised when it answers with an error.
    """
    return Link(
        address,
        replace(options, ssl={**tls_options(tls), **options.ssl}),
        unavailable=unavailable,
        refused=refused,
    )
