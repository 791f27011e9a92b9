"""The samples pass the conformance kit, as a plugin of somebody else would prove itself."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tq_core.contracts.backend import Backend, BackendRequest
from tq_core.contracts.broker import Broker, BrokerRequest
from tq_core.serializers.json import JSONSerializer
from tq_core.testing.conformance.backend import BackendConformance
from tq_core.testing.conformance.broker import BrokerConformance

SAMPLES = Path(__file__).parent / "samples"


def plugin(distribution: str) -> Any:
    """Load a sample's module without installing it."""
    name = distribution.replace("-", "_")
    spec = importlib.util.spec_from_file_location(name, SAMPLES / distribution / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def open_broker(directory: Path) -> Broker:
    request = BrokerRequest(f"shelf://{directory}", {"shelf_height": 100}, "n")
    broker: Broker = plugin("sample-broker").tq_broker(request)
    return broker


def open_backend(directory: Path) -> Backend:
    serializer = JSONSerializer()
    request = BackendRequest(f"shelf://{directory}", {}, serializer, frozenset({serializer.content_type}), "n")
    backend: Backend = plugin("sample-backend").tq_backend(request)
    return backend


class TestShelfBroker(BrokerConformance):
    @pytest.fixture
    def broker(self, tmp_path: Path) -> Iterator[Broker]:
        broker = open_broker(tmp_path)
        yield broker
        broker.close()

    @pytest.fixture
    def other(self, broker: Broker, tmp_path: Path) -> Iterator[Broker]:
        other = open_broker(tmp_path)
        yield other
        other.close()


class TestShelfBackend(BackendConformance):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[Backend]:
        backend = open_backend(tmp_path)
        yield backend
        backend.close()

    @pytest.fixture
    def other(self, backend: Backend, tmp_path: Path) -> Iterator[Backend]:
        other = open_backend(tmp_path)
        yield other
        other.close()
