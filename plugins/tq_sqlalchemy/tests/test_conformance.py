"""The contracts, kept by every kind of database."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tq_core.contracts.backend import Backend
from tq_core.contracts.coordination import Coordination
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend import BackendConformance
from tq_core.testing.conformance.broker import BrokerConformance
from tq_core.testing.conformance.broker.delivery import DeliveryChecks
from tq_core.testing.conformance.broker.due import DueTimeChecks
from tq_core.testing.conformance.broker.endings import EndingChecks
from tq_core.testing.conformance.broker.leases import LeaseChecks
from tq_core.testing.conformance.coordination import CoordinationConformance


class TestDatabaseBroker(BrokerConformance):
    @pytest.fixture
    def address(self, url: str) -> Address:
        return Address(url, {"lease_duration": self.LEASE})


class TestDatabaseBrokerWithoutDoorbell(LeaseChecks, DueTimeChecks, EndingChecks, DeliveryChecks):
    """Where nothing wakes those who wait, everything works by looking now and then."""

    @pytest.fixture
    def address(self, url: str) -> Address:
        return Address(url, {"lease_duration": self.LEASE, "broker_transport_options": {"doorbell": False}})


class TestDatabaseBackend(BackendConformance):
    @pytest.fixture
    def address(self, url: str) -> Address:
        return Address("db+" + url, {"result_expires": 3600})


class TestDatabaseCoordination(CoordinationConformance):
    @pytest.fixture
    def coordination(self, open_backend: Callable[..., Backend]) -> Coordination:
        return open_backend().coordination()
