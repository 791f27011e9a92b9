"""The contracts, kept by a Redis that sentinels lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from tests.private_servers import PrivateRedisSentinel
from tq_core.contracts.coordination import Coordination
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend import BackendConformance
from tq_core.testing.conformance.broker import BrokerConformance
from tq_core.testing.conformance.coordination import CoordinationConformance

BROKER, BACKEND = "broker_transport_options", "result_backend_transport_options"


class TestSentinelBroker(BrokerConformance):
    LEASE: ClassVar[float] = 0.6

    @pytest.fixture
    def address(self, sentinel: PrivateRedisSentinel, prefix: str) -> Address:
        options = {"global_keyprefix": prefix, "socket_timeout": 1.0, "master_name": sentinel.service}
        return Address(sentinel.url, {"lease_duration": self.LEASE, BROKER: options})

    @pytest.fixture
    def way(self, address: Address, sentinel: PrivateRedisSentinel, detour: Callable[..., Any]) -> Iterator[Any]:
        with detour(address, [sentinel.master], BROKER) as way:
            yield way


@pytest.fixture
def address_of_results(sentinel: PrivateRedisSentinel, prefix: str) -> Address:
    options = {"global_keyprefix": prefix, "socket_timeout": 1.0, "master_name": sentinel.service}
    return Address(sentinel.url, {"result_expires": 600, BACKEND: options})


class TestSentinelBackend(BackendConformance):
    @pytest.fixture
    def address(self, address_of_results: Address) -> Address:
        return address_of_results

    @pytest.fixture
    def way(self, address: Address, sentinel: PrivateRedisSentinel, detour: Callable[..., Any]) -> Iterator[Any]:
        with detour(address, [sentinel.master], BACKEND) as way:
            yield way


class TestSentinelCoordination(CoordinationConformance):
    @pytest.fixture
    def coordination(self, address_of_results: Address) -> Iterator[Coordination]:
        backend = address_of_results.backend()
        yield backend.coordination()
        backend.close()

    @pytest.fixture
    def other(self, address_of_results: Address) -> Iterator[Coordination]:
        backend = address_of_results.backend()
        yield backend.coordination()
        backend.close()
