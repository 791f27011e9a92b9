"""The contract, kept by a RabbitMQ."""

from __future__ import annotations

import pytest

from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.broker import BrokerConformance


class TestClassicQueues(BrokerConformance):
    @pytest.fixture
    def address(self, vhost: str) -> Address:
        return Address(vhost, {"broker_publish_timeout": 3.0, "broker_transport_options": {"answer_timeout": 3.0}})


class TestQuorumQueues(BrokerConformance):
    # Each queue is a Raft group with a log of its own, so that hundreds of them take a minute to make.
    SEQUENCES = ((20, 8), (8, 25))

    @pytest.fixture
    def address(self, vhost: str) -> Address:
        options = {"answer_timeout": 3.0}
        kinds = {"task_default_queue_type": "quorum", "task_create_missing_queue_type": "quorum"}
        return Address(vhost, {"broker_publish_timeout": 3.0, "broker_transport_options": options, **kinds})
