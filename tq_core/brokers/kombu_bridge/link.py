"""One connection with one channel, and kombu's errors in the words of the contract."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kombu.connection import Connection
from kombu.messaging import Producer
from kombu.transport.virtual import Channel as VirtualChannel
from kombu.transport.virtual import Message as VirtualMessage

from tq_core.brokers.kombu_bridge.envelope import Taken
from tq_core.brokers.kombu_bridge.traits import Traits
from tq_core.config.masking import mask_url
from tq_core.errors import BrokerUnavailable, ImproperlyConfigured, TQError

#: What a forked child inherited. It is never closed, and never collected either: both would say goodbye to the server
#: in the parent's name.
_INHERITED: list[Any] = []

#: By process: kombu fills tables of its own when it connects, and does not expect two threads. Another thread may
#: hold the parent's lock at a fork.
_opening: dict[int, threading.Lock] = {}


class Link:
    """A connection of one thread; opened when it is first needed, and again after an error or a fork.

    Args:
        opened: makes a kombu connection that has not connected yet.
        url: as configured; shown without its password.
        traits: of the transport.
        queue_arguments: of queues that have to be declared.
    """

    def __init__(
        self, opened: Callable[[float | None], Connection], url: str, traits: Traits, queue_arguments: dict[str, Any]
    ) -> None:
        self._opened = opened
        self._url = url
        self._traits = traits
        self._queue_arguments = queue_arguments
        self._connection: Connection | None = None
        self._channel: Any = None
        self._producer: Producer | None = None
        self._declared: set[str] = set()
        self._pid = os.getpid()

    @property
    def inherited(self) -> bool:
        """True in a process that did not make this link."""
        return self._pid != os.getpid()

    def open(self, timeout: float | None = None) -> Any:
        """Return the channel.

        Args:
            timeout: seconds to wait for the server, where the transport knows such a thing; None for the configured.
        """
        if self.inherited:
            _INHERITED.append((self._connection, self._channel, self._producer))
            self._forget()
            self._pid = os.getpid()
        if self._channel is None:
            with _opening.setdefault(os.getpid(), threading.Lock()):
                self._connection = self._opened(timeout)
                # One more try, at once: with several URLs that is the next server.
                self._connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, interval_max=0)
                channel = self._connection.channel()
            if isinstance(channel, VirtualChannel) and type(channel).Message is VirtualMessage:
                channel.Message = Taken
            self._producer = Producer(channel, auto_declare=False)
            self._channel = channel
        return self._channel

    def producer(self) -> Producer:
        """Return a producer on the channel."""
        self.open()
        assert self._producer is not None
        return self._producer

    def declare(self, queue: str) -> None:
        """Make sure that a queue is there."""
        channel = self.open()
        if queue in self._declared:
            return
        if self._traits.topology:
            channel.exchange_declare(exchange=queue, type="direct", durable=True, auto_delete=False)
            channel.queue_declare(
                queue=queue, durable=True, exclusive=False, auto_delete=False, arguments=self._queue_arguments
            )
            channel.queue_bind(queue=queue, exchange=queue, routing_key=queue)
        else:
            channel._new_queue(queue)
        self._declared.add(queue)

    def drop(self) -> None:
        """End the connection; the next use makes another one."""
        connection, channel = self._connection, self._channel
        if self.inherited:
            _INHERITED.append((connection, channel, self._producer))
            self._forget()
            return
        self._forget()
        if isinstance(channel, VirtualChannel):
            # What is held is the consumer's to give back, and only once.
            with suppress(Exception):
                channel.qos.restore_at_shutdown = False
                channel.qos._on_collect.cancel()
        if connection is not None:
            with suppress(Exception):
                connection.close()

    close = drop

    def _forget(self) -> None:
        self._connection = self._channel = self._producer = None
        self._declared = set()

    @contextmanager
    def reach(self, doing: str) -> Iterator[None]:
        """Turn whatever a driver raises into the contract's errors.

        Args:
            doing: what is being done, for the error's text.
        """
        try:
            yield
        except TQError:
            raise
        except ImportError as error:
            raise ImproperlyConfigured(missing(self._traits, str(error))) from error
        except Exception as error:  # each driver has errors of its own, and some have no common base
            secrets = self._secrets()
            if self._traits.hold != "timeout":  # there, receipts belong to the channel, and each call connects anew
                self.drop()
            raise BrokerUnavailable(self._complaint(doing, error, secrets)) from _without_secrets(error, secrets)

    def _complaint(self, doing: str, error: Exception, secrets: list[str]) -> str:
        text = _hidden(f"{type(error).__name__}: {error}".rstrip(": "), secrets)
        return (
            f"{mask_url(self._url)} could not be used while {doing}: {text}. Check that it can be reached and that "
            "broker_transport_options fit kombu's transport."
        )

    def _secrets(self) -> list[str]:
        connection = self._connection
        if connection is None:
            with suppress(Exception):
                connection = self._opened(None)
        password = getattr(connection, "password", None)
        return [password] if isinstance(password, str) and password else []


def missing(traits: Traits, what: str) -> str:
    """Return what to tell somebody who lacks a transport's driver."""
    install = f": pip install '{traits.requires}'" if traits.requires else ""
    return f"kombu's transport {traits.alias!r} cannot be imported ({what}). It needs a driver{install}"


def _hidden(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "**")
    return mask_url(text)


def _without_secrets(error: Exception, secrets: list[str]) -> Exception | None:
    """Return the error as a cause, unless its own text would tell a password."""
    return None if any(secret in f"{error!r} {error}" for secret in secrets) else error
