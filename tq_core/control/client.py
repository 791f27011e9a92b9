"""``app.control``: asking worker nodes, Celery's among them, to do something."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tq_core.control.clock import LamportClock
from tq_core.control.kept_revocations import KeptRevocations
from tq_core.errors import BackendUnavailable, NotSupported, TQError
from tq_core.ids import new_id
from tq_core.message import Message
from tq_core.protocol.pidbox import ControlRequest, exchange_names, write_request
from tq_core.runner.revocations import Stamp, stamps_of

if TYPE_CHECKING:
    from tq_core.app import Celery

#: Seconds answers are waited for where nobody says how long.
_TIMEOUT = 1.0


class Control:
    """Remote control of the worker nodes of an application's broker. Any thread.

    Args:
        app: the application.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._clock = LamportClock()

    def revoke(
        self,
        task_id: str | Iterable[str],
        destination: Iterable[str] | None = None,
        terminate: bool = False,
        signal: str | int | None = None,
        **options: Any,
    ) -> list[dict[str, Any]] | None:
        """Tell nodes not to run tasks; one that has not started by then ends as REVOKED.

        Unless only some nodes are meant, it is also kept in the result backend, where that offers coordination, for
        nodes that are away; where the broker carries no remote control, nodes read it there within a second.

        Args:
            task_id: one id, or several.
            destination: names of the nodes to tell; None for all.
            terminate: also stop those that run.
            signal: with which signal, ``SIGTERM`` by default: a task finds ``Terminated`` raised inside it, and has two
                seconds to clean up. ``SIGKILL`` leaves no time; ``SIGUSR1`` raises ``SoftTimeLimitExceeded``.
            **options: ``reply``, ``timeout``, ``limit``, ``callback``, ``pattern`` and ``matcher`` of
                :meth:`broadcast`.

        Returns:
            the answers where ``reply`` is true, else None.

        Raises:
            NotSupported: the broker does not carry remote control, and that is needed.
            BrokerUnavailable: it cannot be reached.
        """
        ids = [task_id] if isinstance(task_id, str) else list(task_id)
        arguments = {"task_id": ids if not isinstance(task_id, str) else task_id}
        return self._revoke("revoke", arguments, (ids, []), destination, terminate, signal, options)

    def terminate(
        self,
        task_id: str | Iterable[str],
        destination: Iterable[str] | None = None,
        signal: str | int | None = None,
        **options: Any,
    ) -> list[dict[str, Any]] | None:
        """Revoke tasks, and stop those that run; arguments as for :meth:`revoke`."""
        return self.revoke(task_id, destination, True, signal, **options)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        destination: Iterable[str] | None = None,
        terminate: bool = False,
        signal: str | int | None = None,
        **options: Any,
    ) -> list[dict[str, Any]] | None:
        """Tell nodes not to run tasks that carry stamps.

        Args:
            headers: a value, or a list of some, by the name of the stamped header; a task that has one is meant.
            destination, terminate, signal, **options: as for :meth:`revoke`, likewise what is returned and raised.

        Raises:
            ValueError: a value is neither a text nor a number, nor a list of these.
        """
        stamps = stamps_of(headers)
        arguments = {"headers": dict(headers)}
        return self._revoke(
            "revoke_by_stamped_headers", arguments, ([], stamps), destination, terminate, signal, options
        )

    def rate_limit(
        self, task_name: str, rate_limit: str | float | None, destination: Iterable[str] | None = None, **options: Any
    ) -> list[dict[str, Any]] | None:
        """Give a task another rate limit on running nodes; until they end, their configuration has the old one.

        Args:
            task_name: the task.
            rate_limit: starts a second, or a text such as ``"100/m"``; 0 or None takes the limit away.
            destination: names of the nodes to tell; None for all.
            **options: of :meth:`broadcast`.

        Returns:
            the answers where ``reply`` is true, else None.
        """
        arguments = {"task_name": task_name, "rate_limit": rate_limit}
        return self.broadcast("rate_limit", arguments, destination, **options)

    def time_limit(
        self,
        task_name: str,
        soft: float | None = None,
        hard: float | None = None,
        destination: Iterable[str] | None = None,
        **options: Any,
    ) -> list[dict[str, Any]] | None:
        """Give a task other time limits on running nodes; those of a call still come first.

        Args:
            task_name: the task.
            soft, hard: seconds; None takes the limit away.
            destination: names of the nodes to tell; None for all.
            **options: of :meth:`broadcast`.

        Returns:
            the answers where ``reply`` is true, else None.
        """
        arguments = {"task_name": task_name, "hard": hard, "soft": soft}
        return self.broadcast("time_limit", arguments, destination, **options)

    def _revoke(
        self,
        method: str,
        arguments: dict[str, Any],
        revoked: tuple[list[str], list[Stamp]],
        destination: Iterable[str] | None,
        terminate: bool,
        signal: str | int | None,
        options: dict[str, Any],
    ) -> list[dict[str, Any]] | None:
        kept = None
        if destination is None and not options.get("pattern"):
            kept = KeptRevocations.of(self._app)
        if kept is not None and not (self._app.broker.capabilities.control or terminate or options.get("reply")):
            if not kept.keep(*revoked):
                raise BackendUnavailable(f"{self._app.backend_address} does not answer; nothing has been revoked")
            return None
        arguments |= {"terminate": terminate, "signal": signal or "SIGTERM"}
        answers = self.broadcast(method, arguments, destination, **options)
        if kept is not None:
            kept.keep(*revoked)
        return answers

    def ping(
        self, destination: Iterable[str] | None = None, timeout: float = _TIMEOUT, **options: Any
    ) -> list[dict[str, Any]]:
        """Return ``{node: {"ok": "pong"}}`` for each node that answers within ``timeout`` seconds."""
        return self.broadcast("ping", None, destination, reply=True, timeout=timeout, **options) or []

    def broadcast(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Iterable[str] | None = None,
        connection: Any = None,
        reply: bool = False,
        timeout: float | None = _TIMEOUT,
        limit: int | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        channel: Any = None,
        pattern: str | None = None,
        matcher: str | None = None,
        **more: Any,
    ) -> list[dict[str, Any]] | None:
        """Send a request to nodes and, where asked to, collect their answers.

        Args:
            command: the method.
            arguments: of the method.
            destination: names of the nodes that are meant; None for all.
            connection, channel: accepted for compatibility.
            reply: wait for answers.
            timeout: seconds to wait for them at most.
            limit: answers after which the wait ends; by default as many as there are destinations.
            callback: called with each answer as it arrives.
            pattern: pattern of the names of the nodes that are meant.
            matcher: how it is read: ``glob`` or ``pcre``.
            **more: further arguments of the method.

        Returns:
            a map ``{node: answer}`` for each node that answered, or None without ``reply``.

        Raises:
            NotSupported: the broker does not carry remote control.
            BrokerUnavailable: it cannot be reached.
        """
        broker = self._app.broker
        if not broker.capabilities.control:
            raise NotSupported(
                f"{self._app.broker_address} carries no remote control, which {command!r} needs; "
                "use a broker that does, such as redis://"
            )
        nodes = None if destination is None else _names(destination)
        requests, answers = exchange_names(self._app.conf.control_exchange)
        key = new_id()
        request = ControlRequest(
            command,
            {**(arguments or {}), **more},
            nodes,
            pattern,
            matcher,
            ticket=new_id() if reply else None,
            reply_to=(answers, key) if reply else None,
        )
        wait = _TIMEOUT if timeout is None else timeout
        message = self._message(request, requests, wait if reply else 0.0)
        if not reply:
            broker.announce(requests, message)
            return None
        if limit is None and nodes:
            limit = len(nodes)
        inbox = broker.answers(answers, key)
        try:
            broker.announce(requests, message)
            return self._collect(inbox, request, wait, limit, callback)
        finally:
            inbox.close()

    def _message(self, request: ControlRequest, exchange: str, wait: float) -> Message:
        # JSON whatever the setting says: every node reads it that accepts its default.
        serializer = self._app.serializers.get("json")
        headers = {"clock": self._clock.forward(), "expires": time.time() + wait if wait else 0}
        return Message(
            request.ticket or new_id(),
            headers,
            serializer.dumps(write_request(request)),
            serializer.content_type,
            serializer.content_encoding,
            queue="",
            exchange=exchange,
        )

    def _collect(
        self,
        inbox: Any,
        request: ControlRequest,
        wait: float,
        limit: int | None,
        callback: Callable[[dict[str, Any]], Any] | None,
    ) -> list[dict[str, Any]]:
        accept = self._app.serializers.accept(self._app.conf.accept_content)
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + wait
        while (limit is None or len(found) < limit) and (rest := deadline - time.monotonic()) > 0:
            for message in inbox.receive(rest):
                self._clock.adjust(message.headers.get("clock"))
                if message.headers.get("ticket", request.ticket) != request.ticket:
                    continue
                try:
                    answer = self._app.serializers.decode(message.body, message.content_type, accept)
                except TQError:
                    continue  # what this application does not accept is no answer to it
                if isinstance(answer, dict):
                    found.append(answer)
                    if callback is not None:
                        callback(answer)
        return found


def _names(destination: Iterable[str]) -> tuple[str, ...]:
    return (destination,) if isinstance(destination, str) else tuple(destination)
