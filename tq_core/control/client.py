"""``app.control``: asking worker nodes, Celery's among them, to do something."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tq_core.control.clock import LamportClock
from tq_core.errors import NotSupported, TQError
from tq_core.ids import new_id
from tq_core.message import Message
from tq_core.protocol.pidbox import ControlRequest, exchange_names, write_request

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
        signal: str | None = None,
        **options: Any,
    ) -> list[dict[str, Any]] | None:
        """Tell nodes not to run tasks; one that has not started by then ends as REVOKED.

        Args:
            task_id: one id, or several.
            destination: names of the nodes to tell; None for all.
            terminate: also stop those that run. Celery's workers do; tq's answer that they cannot yet.
            signal: with which signal, ``SIGTERM`` by default.
            **options: ``reply``, ``timeout``, ``limit``, ``callback``, ``pattern`` and ``matcher`` of
                :meth:`broadcast`.

        Returns:
            the answers where ``reply`` is true, else None.

        Raises:
            NotSupported: the broker does not carry remote control.
            BrokerUnavailable: it cannot be reached.
        """
        ids = task_id if isinstance(task_id, str) else list(task_id)
        arguments = {"task_id": ids, "terminate": terminate, "signal": signal or "SIGTERM"}
        return self.broadcast("revoke", arguments, destination, **options)

    def revoke_by_stamped_headers(self, headers: Mapping[str, Any], *args: Any, **options: Any) -> None:
        """Not built yet.

        Raises:
            NotSupported: always.
        """
        raise NotSupported("revoking by stamped headers is not built yet; revoke tasks by their ids")

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
