"""The contract, kept by a RabbitMQ."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

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
    _tests = itertools.count(1)

    @pytest.fixture(autouse=True)
    def _few_at_a_time(self, delete_queues: Callable[[], None], request: pytest.FixtureRequest) -> Iterator[None]:
        yield
        if next(self._tests) % 5 == 0 or "sequence" in request.node.name:
            delete_queues()

    @pytest.fixture
    def address(self, vhost: str) -> Address:
        options = {"answer_timeout": 3.0}
        kinds = {"task_default_queue_type": "quorum", "task_create_missing_queue_type": "quorum"}
        return Address(vhost, {"broker_publish_timeout": 3.0, "broker_transport_options": options, **kinds})
