"""Where the plugin under test is: enough to open it again, in this process or in another one."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tq_core.config.settings import Settings
from tq_core.contracts.backend import Backend
from tq_core.contracts.broker import Broker
from tq_core.contracts.pool import Pool
from tq_core.contracts.schedule_store import ScheduleStore
from tq_core.contracts.serializer import Serializer
from tq_core.plugin.manager import PluginManager
from tq_core.serializers.registry import SerializerRegistry


@dataclass(frozen=True, slots=True)
class Address:
    """A plugin's URL or name, and the settings to open it with. Picklable.

    Attributes:
        url: as in ``broker_url``; for serializers and pools their name; a class's path (``package.module:Class``) is
            as good.
        settings: what differs from tq's defaults, by setting name.
    """

    url: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def _resolved(self, more: Mapping[str, Any]) -> dict[str, Any]:
        return {**Settings().with_defaults(), **self.settings, **more}

    @property
    def _manager(self) -> PluginManager:
        return PluginManager(self.settings.get("plugins_disabled") or (), self.settings.get("plugins_prefer"))

    @property
    def _node(self) -> str:
        return f"conformance{os.getpid()}@{socket.gethostname()}"

    def broker(self, **settings: Any) -> Broker:
        """Open the broker; it has not connected yet.

        Raises:
            PluginError, ImproperlyConfigured: it cannot be opened.
        """
        return self._manager.open_broker(self.url, self._resolved(settings), self._node)

    def backend(self, **settings: Any) -> Backend:
        """Open the result backend, with the serializer of ``result_serializer``; it has not connected yet.

        Raises:
            PluginError, ImproperlyConfigured: it cannot be opened.
        """
        manager = self._manager
        resolved = self._resolved(settings)
        serializer = SerializerRegistry(manager.open_serializer).get(resolved["result_serializer"])
        return manager.open_backend(self.url, resolved, serializer, {serializer.content_type}, self._node)

    def serializer(self) -> Serializer:
        """Open the serializer.

        Raises:
            PluginError, ImproperlyConfigured: it cannot be opened.
        """
        return self._manager.open_serializer(self.url)

    def pool_class(self) -> type[Pool]:
        """Return the pool's class.

        Raises:
            PluginError: it cannot be had.
        """
        return self._manager.pool_class(self.url)

    def schedule_store(self, **settings: Any) -> ScheduleStore:
        """Open the schedule store.

        Raises:
            PluginError, ImproperlyConfigured: it cannot be opened.
        """
        return self._manager.open_schedule_store(self.url, self._resolved(settings))
