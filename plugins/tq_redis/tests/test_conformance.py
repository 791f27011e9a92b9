"""The contracts, kept by a Redis."""

from __future__ import annotations

import pytest

from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.broker import BrokerConformance

URL = "redis://127.0.0.1:6379/15"


class TestRedisBroker(BrokerConformance):
    @pytest.fixture
    def address(self, prefix: str) -> Address:
        settings = {
            "lease_duration": self.LEASE,
            "broker_transport_options": {"global_keyprefix": prefix, "socket_timeout": 2.0},
        }
        return Address(URL, settings)
