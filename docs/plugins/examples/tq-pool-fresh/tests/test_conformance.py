"""The pool keeps the pool contract. Install it first: ``pip install -e .``."""

from __future__ import annotations

import pytest
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.pool import PoolConformance


class TestFreshThreadPool(PoolConformance):
    @pytest.fixture
    def address(self) -> Address:
        return Address("fresh")
