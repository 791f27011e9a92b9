"""The conformance classes, pointed at the plugin that :func:`tq_core.testing.conformance.run.run` was asked to try."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tq_core.contracts.coordination import Coordination
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend import BackendConformance
from tq_core.testing.conformance.broker import BrokerConformance
from tq_core.testing.conformance.coordination import CoordinationConformance
from tq_core.testing.conformance.plugin import PluginConformance
from tq_core.testing.conformance.pool import PoolConformance
from tq_core.testing.conformance.promises import skip_undeclared
from tq_core.testing.conformance.schedule_store import ScheduleStoreConformance
from tq_core.testing.conformance.serializer import SerializerConformance


class Pointed:
    """Gives a conformance class the address it was asked to try."""

    @pytest.fixture
    def address(self, subject_address: Address) -> Address:
        """Where the plugin under test is."""
        return subject_address


class TestBroker(Pointed, BrokerConformance):
    """The broker contract."""


class TestBackend(Pointed, BackendConformance):
    """The backend contract."""


class TestCoordination(Pointed, CoordinationConformance):
    """The coordination contract, through the backend that offers it."""

    @pytest.fixture
    def coordination(self, address: Address, request: pytest.FixtureRequest) -> Iterator[Coordination]:
        """The primitives of a backend."""
        backend = address.backend()
        skip_undeclared(request, backend.capabilities, "coordination")
        yield backend.coordination()
        backend.close()

    @pytest.fixture
    def other(self, coordination: Coordination, address: Address) -> Iterator[Coordination]:
        """Those of a second connection."""
        backend = address.backend()
        yield backend.coordination() if backend.capabilities.shared else coordination
        backend.close()


class TestSerializer(Pointed, SerializerConformance):
    """The serializer contract."""


class TestPool(Pointed, PoolConformance):
    """The pool contract."""


class TestScheduleStore(Pointed, ScheduleStoreConformance):
    """The schedule store contract."""


class TestPlugin(PluginConformance):
    """The description of a distribution."""

    @pytest.fixture
    def distribution(self, subject_address: Address) -> str:
        """The distribution's name, which stands in the address."""
        return subject_address.url
