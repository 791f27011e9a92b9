"""An application's broker and result backend: opened when first needed.

After a fork that a program made for reasons of its own they are opened anew. A worker's runners inherit the
supervisor's instead: what these know already, compiled statements above all, then stays memory that all share.
"""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

from tq_core.config.masking import mask_url
from tq_core.config.settings import Settings
from tq_core.contracts.backend import Backend
from tq_core.contracts.broker import Broker
from tq_core.defaults import default_urls
from tq_core.errors import ImproperlyConfigured
from tq_core.plugin.manager import PluginManager
from tq_core.serializers.registry import SerializerRegistry

#: Connections inherited over a fork. Kept for ever: collecting them could close what the parent still uses.
_inherited: list[Any] = []


class Connections:
    """The connections of one application in one process at a time. Safe to use from any thread.

    Args:
        conf: the settings.
        plugins: opens brokers and backends.
        serializers: writes and reads results.
    """

    def __init__(self, conf: Settings, plugins: PluginManager, serializers: SerializerRegistry) -> None:
        self._conf = conf
        self._plugins = plugins
        self._serializers = serializers
        self._lock = threading.RLock()
        self._urls: tuple[str, str] | None = None
        self._broker: Broker | None = None
        self._backend: Backend | None = None
        self._others: dict[str, Backend] = {}
        self._pid = os.getpid()

    @property
    def node(self) -> str:
        """Name of this process for origins and leases."""
        return f"gen{os.getpid()}@{socket.gethostname()}"

    @property
    def urls(self) -> tuple[str, str]:
        """URLs of broker and result backend, passwords included; never log them unmasked."""
        if self._urls is None:
            self._urls = default_urls(self._conf)
        return self._urls

    @property
    def addresses(self) -> tuple[str, str]:
        """URLs of broker and result backend without their passwords."""
        broker, backend = self.urls
        return mask_url(broker), mask_url(backend)

    @property
    def broker(self) -> Broker:
        """The broker."""
        broker = self._broker
        if broker is not None and self._pid == os.getpid():
            return broker
        with self._lock:
            self._notice_fork()
            if self._broker is None:
                settings = self._conf.with_defaults()
                self._broker = self._plugins.open_broker(self.urls[0], settings=settings, node=self.node)
            return self._broker

    @property
    def backend(self) -> Backend:
        """The result backend."""
        backend = self._backend
        if backend is not None and self._pid == os.getpid():
            return backend
        with self._lock:
            self._notice_fork()
            if self._backend is None:
                self._backend = self._open_backend(self.urls[1])
            return self._backend

    def backend_at(self, url: str) -> Backend:
        """Return the result backend that some tasks have of their own; one for each URL, opened when first needed.

        Args:
            url: a URL, or a name, as for ``result_backend``.

        Raises:
            ImproperlyConfigured: it cannot be used, or sends results to the caller instead of keeping them.
        """
        with self._lock:
            self._notice_fork()
            backend = self._others.get(url)
            if backend is None:
                backend = self._open_backend(url)
                if backend.capabilities.replies:
                    raise ImproperlyConfigured(
                        f"{mask_url(url)!r} cannot be the backend of a single task: it sends results to whoever "
                        "called, which all tasks of an application do or none. Make it the `result_backend`, or give "
                        "the task one that keeps results, such as 'redis://…'"
                    )
                self._others[url] = backend
            return backend

    def _open_backend(self, url: str) -> Backend:
        conf, serializers = self._conf, self._serializers
        accepted = conf.result_accept_content
        return self._plugins.open_backend(
            url,
            settings=conf.with_defaults(),
            serializer=serializers.get(conf.result_serializer),
            accept=serializers.accept(conf.accept_content if accepted is None else accepted),
            node=self.node,
        )

    def _notice_fork(self) -> None:
        if self._pid != os.getpid():
            self.forget()

    def forget(self) -> None:
        """Drop what a parent process opened, without closing it: it is still the parent's."""
        # A lock of the parent's could have been held by a thread that does not exist here.
        self._lock = threading.RLock()
        self._pid = os.getpid()
        opened = (self._broker, self._backend, *self._others.values())
        _inherited.extend(connection for connection in opened if connection is not None)
        self._broker = self._backend = None
        self._others = {}

    def inherit(self) -> None:
        """Go on, in a forked process, with what the parent opened.

        By their contracts broker and backend notice the new process and open connections of their own.
        """
        self._lock = threading.RLock()
        self._pid = os.getpid()

    def close(self) -> None:
        """Close what this process opened; the next use opens it again."""
        with self._lock:
            self._notice_fork()
            opened = (self._broker, self._backend, *self._others.values())
            self._broker = self._backend = None
            self._others = {}
        for connection in opened:
            if connection is not None:
                connection.close()
