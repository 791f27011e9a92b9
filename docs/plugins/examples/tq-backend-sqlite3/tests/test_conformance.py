"""The SQLite backend keeps the backend contract. Install it first: ``pip install -e .``."""

from __future__ import annotations

from pathlib import Path

import pytest
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend import BackendConformance


class TestSQLiteBackend(BackendConformance):
    @pytest.fixture
    def address(self, tmp_path: Path) -> Address:
        return Address(f"sqlite3://{tmp_path}/results.db")
