"""The directory broker keeps the broker contract. Install it first: ``pip install -e .``."""

from __future__ import annotations

from pathlib import Path

import pytest
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.broker import BrokerConformance


class TestDirectoryBroker(BrokerConformance):
    @pytest.fixture
    def address(self, tmp_path: Path) -> Address:
        return Address(f"directory://{tmp_path}", {"directory_poll_interval": 0.01})
