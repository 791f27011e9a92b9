"""The contract of result backends, kept over a RabbitMQ."""

from __future__ import annotations

import pytest

from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend import BackendConformance

#: A machine that runs other tests beside these needs longer than a server that is well.
SETTINGS = {"broker_publish_timeout": 10.0, "broker_transport_options": {"answer_timeout": 10.0}}


class TestReplies(BackendConformance):
    @pytest.fixture
    def address(self, vhost: str) -> Address:
        return Address(f"rpc+{vhost}", SETTINGS)


class TestTaskQueues(BackendConformance):
    @pytest.fixture
    def address(self, vhost: str) -> Address:
        # Thousands of durable queues would be thousands of files, each synchronised.
        return Address(vhost, {**SETTINGS, "result_persistent": False, "result_exchange": "transient-results"})
