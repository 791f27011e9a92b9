"""The contracts of results and coordination, kept by a Redis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tq_core.contracts.backend import Backend
from tq_core.contracts.coordination import Coordination
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend import BackendConformance
from tq_core.testing.conformance.backend.chords import ChordChecks
from tq_core.testing.conformance.backend.records import RecordChecks
from tq_core.testing.conformance.backend.watching import WatchChecks
from tq_core.testing.conformance.coordination import CoordinationConformance


class TestRedisBackend(BackendConformance):
    @pytest.fixture
    def address(self, address: Address) -> Address:
        return address


class TestRedisBackendAsCelery57(ChordChecks, WatchChecks, RecordChecks):
    """Results are compressed, so that no script can see their state."""

    @pytest.fixture
    def address(self, address: Address) -> Address:
        return replace(address, settings={**address.settings, "interop": "celery-5.7", "result_compression": "gzip"})


class TestRedisBackendWithUnorderedChords(ChordChecks):
    """Parts of chords are a list, as Celery keeps them with ``result_chord_ordered = False``."""

    @pytest.fixture
    def address(self, address: Address) -> Address:
        options = {**address.settings["result_backend_transport_options"], "result_chord_ordered": False}
        return replace(address, settings={**address.settings, "result_backend_transport_options": options})

    def test_the_last_part_claims_the_chord(self, backend: Backend, other: Backend) -> None:
        (c,) = self.names("c")
        backend.open_chord(c, 2)
        assert backend.add_chord_parts([self.part("c", 1)], claimant="w", lease=30) == []
        assert other.add_chord_parts([self.part("c", 0)], claimant="w", lease=30) == [c]
        assert [part.result for part in other.chord_parts(c)] == [1, 0]  # as they came


class TestRedisCoordination(CoordinationConformance):
    @pytest.fixture
    def coordination(self, open_backend: Callable[..., Backend]) -> Coordination:
        return open_backend().coordination()

    @pytest.fixture
    def other(self, open_backend: Callable[..., Backend]) -> Coordination:
        return open_backend().coordination()
