"""The broker contract over any of kombu's transports."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from kombu.connection import Connection

from tq_core.brokers.kombu_bridge.consumer import KombuConsumer, NothingLeft
from tq_core.brokers.kombu_bridge.link import Link, missing
from tq_core.brokers.kombu_bridge.sending import send
from tq_core.brokers.kombu_bridge.traits import Traits
from tq_core.contracts.broker import Broker, BrokerRequest, Consumer, Succession
from tq_core.errors import BrokerError, BrokerUnavailable, ImproperlyConfigured, PublishError
from tq_core.message import Message

logger = logging.getLogger("tq.broker.kombu")

#: What a URL may begin with to name a kombu transport without a doubt.
PREFIX = "kombu+"


class KombuBroker(Broker):
    """Queues behind one URL of kombu's. Each thread that publishes and each consumer has a connection of its own.

    Args:
        request: ``broker_transport_options`` goes to kombu as it is; ``broker_use_ssl``, ``broker_login_method``,
            ``broker_failover_strategy`` and ``broker_connection_timeout`` (seconds) mean what they do with Celery.
        traits: of the transport.

    Raises:
        ImproperlyConfigured: the transport's driver is not installed, or the options are no mapping.
    """

    def __init__(self, request: BrokerRequest, traits: Traits) -> None:
        self.capabilities = traits.capabilities
        self._traits = traits
        self._settings = request.settings
        parts = (part.strip().removeprefix(PREFIX) for part in request.url.split(";"))
        self._url = ";".join(_completed(part, traits.query) for part in parts)
        options = request.settings.get("broker_transport_options") or {}
        if not isinstance(options, Mapping):
            raise ImproperlyConfigured("broker_transport_options must be a mapping of kombu's transport options")
        self._options = {**traits.options, **options}
        self._require_driver()
        self._thread = threading.local()
        self._opened: list[weakref.ref[Any]] = []
        self._warned = False

    def _require_driver(self) -> None:
        module = self._traits.module
        if not module:
            return
        try:
            found = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:  # a parent package is missing
            found = False
        if not found:
            raise ImproperlyConfigured(missing(self._traits, f"no module named {module!r}"))

    def _connection(self, timeout: float | None) -> Connection:
        settings = self._settings
        configured = float(settings.get("broker_connection_timeout") or 4.0)
        transport = None
        if self._traits.implementation:
            module, _, name = self._traits.implementation.partition(":")
            transport = getattr(importlib.import_module(module), name)
        return Connection(
            self._url,
            transport=transport,
            connect_timeout=configured if timeout is None else timeout,
            # kombu's transports write into their options.
            transport_options=dict(self._options),
            ssl=settings.get("broker_use_ssl") or False,
            login_method=settings.get("broker_login_method"),
            failover_strategy=settings.get("broker_failover_strategy") or "round-robin",
        )

    def _new_link(self) -> Link:
        return Link(self._connection, self._url, self._traits, self._queue_arguments())

    def _queue_arguments(self) -> dict[str, Any]:
        """Return what Celery would declare queues with, so that both may declare the same one."""
        arguments: dict[str, Any] = {}
        if self._settings.get("task_queue_max_priority"):
            arguments["x-max-priority"] = int(self._settings["task_queue_max_priority"])
        if self._settings.get("task_default_queue_type") == "quorum":
            arguments["x-queue-type"] = "quorum"
        return arguments

    def _link(self) -> Link:
        link: Link | None = getattr(self._thread, "link", None)
        if link is None:
            link = self._thread.link = self._new_link()
            self._remember(link)
        return link

    def _remember(self, opened: Link | KombuConsumer) -> None:
        self._opened.append(weakref.ref(opened, self._forget))

    def _forget(self, reference: weakref.ref[Any]) -> None:
        with suppress(ValueError):
            self._opened.remove(reference)

    # the contract

    def connect(self, timeout: float) -> None:
        # A connection of its own, because one that is open already may not have noticed that the server is gone.
        link = self._new_link()
        try:
            with link.reach("connecting"):
                probe = getattr(link.open(timeout), "probe", None)
                if probe is not None:
                    probe()
        finally:
            link.close()

    def publish(self, messages: Sequence[Message]) -> None:
        link = self._link()
        sent = 0
        try:
            for message in messages:
                with link.reach("publishing"):
                    send(link, message)
                sent += 1
        except BrokerError as error:
            left = [message.id for message in messages[sent:]]
            raise PublishError(
                str(error), unsent=left, maybe_sent=isinstance(error, BrokerUnavailable)
            ) from error.__cause__

    def consumer(self, queues: Sequence[str], *, consumer_id: str, prefetch: int = 0) -> Consumer:
        self._warn()
        consumer = KombuConsumer(self._new_link(), self._traits, queues)
        self._remember(consumer)
        return consumer

    def _warn(self) -> None:
        if self._traits.hold == "worker" and self.capabilities.shared and not self._warned:
            self._warned = True
            logger.warning(
                "kombu's transport %r deletes a message when it hands it out: what a worker holds is lost when the "
                "worker is killed. worker_prefetch_multiplier = 1 keeps that little.",
                self._traits.alias,
            )

    def succeed(self, consumer_id: str) -> Succession:
        return NothingLeft(self)

    def purge(self, queue: str) -> int:
        if not self.capabilities.purge:
            return super().purge(queue)
        link = self._link()
        with link.reach(f"purging {queue!r}"):
            link.declare(queue)
            return int(link.open().queue_purge(queue=queue) or 0)

    def close(self) -> None:
        for reference in list(self._opened):
            opened = reference()
            if opened is not None:
                opened.close()


def _completed(url: str, parameters: Mapping[str, str]) -> str:
    """Return a URL with the parameters that it lacks."""
    address, _, query = url.partition("?")
    given = {pair.partition("=")[0].lower() for pair in query.split("&")}
    added = [f"{name}={value}" for name, value in parameters.items() if name.lower() not in given]
    if not added:
        return url
    if "/" not in address.partition("://")[2]:
        address += "/"
    return f"{address}?{'&'.join([*filter(None, [query]), *added])}"
