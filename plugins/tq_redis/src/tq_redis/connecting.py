"""Makes connections by redis-py, for every form of address."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

from redis import Connection, SSLConnection, UnixDomainSocketConnection
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from tq_core.errors import ImproperlyConfigured
from tq_redis.address import Address
from tq_redis.leading import AnyNodeGuide, Guide, LedConnection, LedTLSConnection, SentinelGuide, SlotGuide
from tq_redis.options import ConnectionOptions
from tq_redis.slots import slot_of
from tq_redis.topology import Place, Topology

#: Most seconds that one node of a cluster is waited for when it is asked for the topology; then the next one is asked.
ASKED_FOR = 1.5


class Wire(Protocol):
    """What tq uses of a redis-py connection, with the types that redis-py does not declare."""

    pid: int
    _sock: socket.socket | None

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def pack_command(self, *command: Any) -> Iterable[bytes]: ...
    def pack_commands(self, commands: Sequence[Sequence[Any]]) -> Iterable[bytes]: ...
    def send_packed_command(self, packed: Iterable[bytes]) -> None: ...
    def can_read(self, timeout: float = 0) -> bool: ...
    def read_response(self) -> Any: ...


def connector(address: Address, options: ConnectionOptions) -> Callable[[], Wire]:
    """Return a function that makes a connection which is not connected yet. It may be called from any thread.

    In a cluster the connection leads to the master of the slot in which ``global_keyprefix`` lies.

    redis-py is to try once and give up: when to try again is decided in :mod:`tq_redis.link` alone.

    Raises:
        ImproperlyConfigured: an option is missing, or redis-py refuses one.
    """
    if address.sentinel:
        return _tried(_led(_by_sentinel(address, options), address, options))
    if address.cluster:
        guide = SlotGuide(topology_of(address, options), slot_of(options.global_keyprefix))
        return _tried(_led(guide, address, options))
    if address.path:
        return _tried(_maker(UnixDomainSocketConnection, {**_common(address, options), "path": address.path}))
    return _tried(_by_tcp(address, options))


def any_node(topology: Topology, address: Address, options: ConnectionOptions) -> Callable[[], Wire]:
    """Return a function that makes a connection to a node of a cluster that answers; like :func:`connector`."""
    return _tried(_led(AnyNodeGuide(topology), address, options))


def node_of(address: Address, place: Place) -> Address:
    """Return the address of one node of a cluster."""
    return replace(address, hosts=(place,), cluster=False)


def topology_of(address: Address, options: ConnectionOptions) -> Topology:
    """Return the topology of a cluster, which nobody has asked for yet."""
    hasty = replace(
        options,
        socket_timeout=min(options.socket_timeout, ASKED_FOR),
        socket_connect_timeout=min(options.socket_connect_timeout, ASKED_FOR),
    )
    return Topology(address.hosts, lambda place: _by_tcp(node_of(address, place), hasty)(), options.remapped)


def _tried(make: Callable[[], Wire]) -> Callable[[], Wire]:
    try:
        make()
    except TypeError as error:  # an option redis-py does not know
        raise ImproperlyConfigured(f"redis-py refuses an option of the connection: {error}") from error
    return make


def _common(address: Address, options: ConnectionOptions) -> dict[str, Any]:
    username = address.username or options.username or None
    password = address.password or options.password or None
    common: dict[str, Any] = {
        "db": address.db,
        "socket_timeout": options.socket_timeout,
        "socket_connect_timeout": options.socket_connect_timeout,
        "health_check_interval": int(options.health_check_interval),
        "client_name": options.client_name or None,
        "retry": _once(),
        "protocol": 2,
    }
    if options.credential_provider is not None:
        common["credential_provider"] = options.credential_provider
    else:
        common |= {"username": username, "password": password}
    return common


def _once() -> Retry:
    return Retry(NoBackoff(), 0)


def _tcp(options: ConnectionOptions) -> dict[str, Any]:
    return {
        "socket_keepalive": options.socket_keepalive,
        "socket_keepalive_options": dict(options.socket_keepalive_options),
    }


def _by_tcp(address: Address, options: ConnectionOptions) -> Callable[[], Wire]:
    host, port = address.hosts[0]
    arguments = {**_common(address, options), **_tcp(options), "host": host, "port": port}
    if address.tls or options.ssl:
        arguments |= options.ssl
        return _maker(SSLConnection, arguments)
    return _maker(Connection, arguments)


def _maker(kind: type[Any], arguments: dict[str, Any]) -> Callable[[], Wire]:
    return lambda: cast(Wire, kind(**arguments))


def _led(guide: Guide, address: Address, options: ConnectionOptions) -> Callable[[], Wire]:
    arguments = {**_common(address, options), **_tcp(options), "guide": guide}
    if address.tls or options.ssl:
        return _maker(LedTLSConnection, {**arguments, **options.ssl})
    return _maker(LedConnection, arguments)


def _by_sentinel(address: Address, options: ConnectionOptions) -> Guide:
    if not options.master_name:
        raise ImproperlyConfigured(
            "A sentinel:// URL needs the name of the service that the sentinels watch: set master_name in the "
            "transport options"
        )
    asking = {
        "socket_timeout": options.socket_timeout,
        "socket_connect_timeout": options.socket_connect_timeout,
        "retry": _once(),
        **options.sentinel_kwargs,
    }
    sentinel = Sentinel(list(address.hosts), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]  # redis-py's
    return SentinelGuide(sentinel, options.master_name, options.remapped)
