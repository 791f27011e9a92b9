"""The memory backend's coordination keeps the contract."""

from __future__ import annotations

import pytest

from tq_core.backends.memory_coordination import Expiring, MemoryCoordination
from tq_core.contracts.coordination import Coordination
from tq_core.testing.conformance.coordination import CoordinationConformance


class TestMemoryCoordination(CoordinationConformance):
    @pytest.fixture
    def coordination(self) -> Coordination:
        return MemoryCoordination()


def test_dead_values_do_not_pile_up() -> None:
    mapping: Expiring[int] = Expiring()
    for n in range(5000):
        mapping.put(str(n), n, 0)
    assert len(mapping._items) <= 1024
