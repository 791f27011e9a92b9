"""tq's own plugin: what works without any other distribution.

It is written like anybody else's plugin: a description, and hooks that import what they open. What they
open stands above this room, so that it is named here and imported when asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tq_core.errors import ImproperlyConfigured
from tq_core.plugin.hookspecs import hookimpl
from tq_core.plugin.info import PluginInfo

if TYPE_CHECKING:
    from tq_core.contracts.backend import Backend, BackendRequest
    from tq_core.contracts.broker import Broker, BrokerRequest
    from tq_core.contracts.pool import Pool, PoolRequest
    from tq_core.contracts.serializer import Serializer

_MEMORY = "tq_core.backends.memory:MemoryBackend"
_FILESYSTEM = "tq_core.backends.filesystem:FilesystemBackend"

#: Kind → name → class.
CLASSES: Mapping[str, Mapping[str, str]] = {
    "brokers": {"memory": "tq_core.brokers.memory:MemoryBroker"},
    "backends": {
        "disabled": "tq_core.backends.disabled:DisabledBackend",
        "memory": _MEMORY,
        "cache+memory": _MEMORY,
        "file": _FILESYSTEM,
        "filesystem": _FILESYSTEM,
    },
    "serializers": {
        "json": "tq_core.serializers.json:JSONSerializer",
        "yaml": "tq_core.serializers.yaml:YAMLSerializer",
        "pickle": "tq_core.serializers.pickle:PickleSerializer",
        "msgpack": "tq_core.serializers.msgpack:MsgpackSerializer",
        "raw": "tq_core.serializers.raw:RawSerializer",
    },
    "pools": {
        "solo": "tq_core.pools.solo:SoloPool",
        "prefork": "tq_core.pools.solo:PreforkPool",
        "processes": "tq_core.pools.solo:PreforkPool",
        "threads": "tq_core.pools.threads:ThreadPool",
        "aio": "tq_core.pools.aio:AioPool",
    },
}


def _class(kind: str, name: str) -> Any:
    place = CLASSES[kind].get(name)
    if place is None:
        raise ImproperlyConfigured(f"tq-core itself has no {name!r} among its {kind}")
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


class _Capabilities(Mapping[str, Any]):
    """The capabilities of everything built in, by ``kind:name``, read from the class when asked for."""

    _KINDS: Mapping[str, str] = {"broker": "brokers", "backend": "backends", "pool": "pools"}

    def __getitem__(self, key: str) -> Any:
        kind, _, name = key.partition(":")
        if kind not in self._KINDS or name not in CLASSES[self._KINDS[kind]]:
            raise KeyError(key)
        return _class(self._KINDS[kind], name).capabilities

    def __iter__(self) -> Iterator[str]:
        return (f"{kind}:{name}" for kind, plural in self._KINDS.items() for name in CLASSES[plural])

    def __len__(self) -> int:
        return sum(1 for _ in self)


info = PluginInfo(
    name="tq-core",
    summary="What works without any other distribution.",
    capabilities=_Capabilities(),
)


@hookimpl
def tq_broker(request: BrokerRequest) -> Broker:
    """Open the memory broker."""
    broker: Broker = _class("brokers", "memory")(request)
    return broker


@hookimpl
def tq_backend(request: BackendRequest) -> Backend:
    """Open the disabled, the memory or the filesystem backend."""
    name = request.url.partition("://")[0]
    backend: Backend = _class("backends", name)(request)
    return backend


@hookimpl
def tq_serializer(name: str) -> Serializer:
    """Return one of the built-in serializers."""
    serializer: Serializer = _class("serializers", name)()
    return serializer


@hookimpl
def tq_pool(request: PoolRequest) -> type[Pool]:
    """Return the class of a built-in pool."""
    pool: type[Pool] = _class("pools", request.name)
    return pool
