"""The contracts, kept by a SQLite file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tq_core.contracts.backend import Backend
from tq_core.contracts.broker import Broker
from tq_core.contracts.coordination import Coordination
from tq_core.testing.conformance.backend import BackendConformance
from tq_core.testing.conformance.broker import BrokerConformance
from tq_core.testing.conformance.coordination import CoordinationConformance


class TestSQLiteBroker(BrokerConformance):
    @pytest.fixture
    def broker(self, open_broker: Callable[..., Broker]) -> Broker:
        return open_broker(lease_duration=self.LEASE)

    @pytest.fixture
    def other(self, broker: Broker, open_broker: Callable[..., Broker]) -> Broker:
        return open_broker(lease_duration=self.LEASE)


class TestSQLiteBrokerWithoutDoorbell(TestSQLiteBroker):
    """Where there are no Unix sockets, everything works by looking now and then."""

    @pytest.fixture
    def broker(self, open_broker: Callable[..., Broker]) -> Broker:
        return open_broker(lease_duration=self.LEASE, broker_transport_options={"doorbell": False})


class TestSQLiteBackend(BackendConformance):
    @pytest.fixture
    def backend(self, open_backend: Callable[..., Backend]) -> Backend:
        return open_backend(result_expires=3600)

    @pytest.fixture
    def other(self, backend: Backend, open_backend: Callable[..., Backend]) -> Backend:
        return open_backend(result_expires=3600)

    @pytest.fixture
    def short_lived(self, open_backend: Callable[..., Backend]) -> Backend:
        return open_backend(result_expires=0.5)


class TestSQLiteCoordination(CoordinationConformance):
    @pytest.fixture
    def coordination(self, open_backend: Callable[..., Backend]) -> Coordination:
        return open_backend().coordination()
