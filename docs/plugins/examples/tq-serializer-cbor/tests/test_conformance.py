"""The serializer keeps the serializer contract. Install it first: ``pip install -e .``."""

from __future__ import annotations

import pytest
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.serializer import SerializerConformance


class TestCBORSerializer(SerializerConformance):
    @pytest.fixture
    def address(self) -> Address:
        return Address("cbor")
