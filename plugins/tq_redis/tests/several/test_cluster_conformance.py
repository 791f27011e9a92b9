"""The contracts, kept by a Redis Cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from tests.private_servers import PrivateRedisCluster
from tq_core.contracts.coordination import Coordination
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend import BackendConformance
from tq_core.testing.conformance.broker import BrokerConformance
from tq_core.testing.conformance.coordination import CoordinationConformance

BROKER, BACKEND = "broker_transport_options", "result_backend_transport_options"


class TestClusterBroker(BrokerConformance):
    LEASE: ClassVar[float] = 0.6

    @pytest.fixture
    def address(self, cluster: PrivateRedisCluster, prefix: str) -> Address:
        options = {"global_keyprefix": prefix, "socket_timeout": 1.0}
        return Address(cluster.url, {"lease_duration": self.LEASE, BROKER: options})

    @pytest.fixture
    def way(self, address: Address, cluster: PrivateRedisCluster, detour: Callable[..., Any]) -> Iterator[Any]:
        with detour(address, cluster.masters, BROKER) as way:
            yield way


@pytest.fixture
def address_of_results(cluster: PrivateRedisCluster, prefix: str) -> Address:
    options = {"global_keyprefix": prefix, "socket_timeout": 1.0}
    return Address(cluster.url, {"result_expires": 600, BACKEND: options})


class TestClusterBackend(BackendConformance):
    @pytest.fixture
    def address(self, address_of_results: Address) -> Address:
        return address_of_results

    @pytest.fixture
    def way(self, address: Address, cluster: PrivateRedisCluster, detour: Callable[..., Any]) -> Iterator[Any]:
        with detour(address, cluster.masters, BACKEND) as way:
            yield way


class TestClusterCoordination(CoordinationConformance):
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
