"""Servers that belong together, one set of each kind for the whole run, and ways there that fail on demand."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace

import pytest

from tests.private_servers import (
    PrivateRedisCluster,
    PrivateRedisSentinel,
    PrivateServer,
    private_redis_cluster,
    private_redis_sentinel,
)
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.network import HASTY
from tq_core.testing.proxy import Proxy


@pytest.fixture(scope="session")
def cluster() -> Iterator[PrivateRedisCluster]:
    """A cluster of three masters, which stay alive."""
    with private_redis_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def sentinel() -> Iterator[PrivateRedisSentinel]:
    """A master, a replica and three sentinels, which stay alive."""
    with private_redis_sentinel() as sentinel:
        yield sentinel


@pytest.fixture
def prefix() -> str:
    """What the test's keys begin with."""
    return f"test-{uuid.uuid4().hex[:12]}:"


class Proxies:
    """A proxy before each of several servers; all of them do the same."""

    def __init__(self, proxies: Sequence[Proxy]) -> None:
        self._proxies = proxies

    def cut(self) -> int:
        return sum([proxy.cut() for proxy in self._proxies])

    def refuse(self) -> None:
        for proxy in self._proxies:
            proxy.refuse()

    def stall(self) -> None:
        for proxy in self._proxies:
            proxy.stall()

    def swallow_replies(self) -> None:
        for proxy in self._proxies:
            proxy.swallow_replies()

    def resume(self) -> None:
        for proxy in self._proxies:
            proxy.resume()


#: Makes of an address one whose connections lead through proxies to the servers.
Detour = Callable[[Address, Sequence[PrivateServer], str], AbstractContextManager[tuple[Address, Proxies]]]


@pytest.fixture
def detour() -> Detour:
    """Put a proxy before each server; the third argument is the setting with the transport options."""

    @contextmanager
    def way(address: Address, servers: Sequence[PrivateServer], setting: str) -> Iterator[tuple[Address, Proxies]]:
        with ExitStack() as stack:
            proxies = [stack.enter_context(Proxy(server.host, server.port)) for server in servers]
            remap = {
                f"{server.host}:{server.port}": f"{proxy.host}:{proxy.port}"
                for server, proxy in zip(servers, proxies, strict=True)
            }
            url = address.url
            if "+cluster" in url:
                url = "redis+cluster://" + ",".join(remap.values())
            options = {**address.settings[setting], "address_remap": remap}
            yield replace(address, url=url, settings={**address.settings, **HASTY, setting: options}), Proxies(proxies)

    return way
