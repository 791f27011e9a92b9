"""Everything built in, and a broker and a backend of several processes behind a port, keep what they declare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.doubles import remote, schedule_stores
from tq_core.plugin.builtin import CLASSES
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend.network import NetworkChecks as BackendNetworkChecks
from tq_core.testing.conformance.backend.processes import ProcessChecks as BackendProcessChecks
from tq_core.testing.conformance.backend.surroundings import SurroundingsChecks
from tq_core.testing.conformance.broker.crashes import CrashChecks
from tq_core.testing.conformance.broker.forks import ForkChecks
from tq_core.testing.conformance.broker.moving import MoveChecks
from tq_core.testing.conformance.broker.network import NetworkChecks as BrokerNetworkChecks
from tq_core.testing.conformance.broker.processes import ProcessChecks
from tq_core.testing.conformance.plugin import PluginConformance
from tq_core.testing.conformance.pool import PoolConformance
from tq_core.testing.conformance.schedule_store import ScheduleStoreConformance
from tq_core.testing.conformance.serializer import SerializerConformance


class TestSerializers(SerializerConformance):
    @pytest.fixture(params=CLASSES["serializers"])
    def address(self, request: pytest.FixtureRequest) -> Address:
        return Address(request.param)


class TestPools(PoolConformance):
    @pytest.fixture(params=[name for name in CLASSES["pools"] if name != "processes"])
    def address(self, request: pytest.FixtureRequest) -> Address:
        return Address(request.param)


class TestOwnPlugin(PluginConformance):
    @pytest.fixture(params=["tq-core", "tq-sqlalchemy"])
    def distribution(self, request: pytest.FixtureRequest) -> str:
        name: str = request.param
        return name


class TestFileScheduleStore(ScheduleStoreConformance):
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "schedule.json"

    @pytest.fixture
    def address(self, file: Path) -> Address:
        return Address(f"{schedule_stores.__name__}:FileStore://{file}")

    @pytest.fixture
    def damage(self, file: Path) -> Callable[[], object]:
        return lambda: file.write_bytes(file.read_bytes()[:-5])


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server of queues and results."""
    with remote.serving() as port:
        yield port


class TestRemoteBroker(BrokerNetworkChecks, CrashChecks, MoveChecks, ProcessChecks, ForkChecks):
    """The checks that need other processes and a network can be passed; the memory broker passes the others."""

    @pytest.fixture
    def address(self, port: int) -> Address:
        return Address(f"{remote.HERE}:RemoteBroker://127.0.0.1:{port}")


class TestRemoteBackend(BackendNetworkChecks, BackendProcessChecks, SurroundingsChecks):
    @pytest.fixture
    def address(self, port: int) -> Address:
        return Address(f"{remote.HERE}:RemoteBackend://127.0.0.1:{port}")
