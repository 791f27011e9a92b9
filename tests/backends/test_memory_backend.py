"""The memory backend keeps the backend contract."""

from __future__ import annotations

import gc
import itertools
from typing import Any

import pytest

from tq_core.backends.memory import MemoryBackend
from tq_core.contracts.backend import Backend, BackendRequest
from tq_core.errors import ImproperlyConfigured
from tq_core.serializers.json import JSONSerializer
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend import BackendConformance, record
from tq_core.testing.conformance.patience import Thread

_names = itertools.count()


def opened(url: str, **settings: Any) -> MemoryBackend:
    accept = frozenset({"application/json"})
    return MemoryBackend(BackendRequest(url, settings, JSONSerializer(), accept, "test@here"))


class TestMemoryBackend(BackendConformance):
    @pytest.fixture
    def address(self) -> Address:
        return Address(f"memory://conformance-{next(_names)}")

    @pytest.fixture
    def other(self, address: Address) -> Backend:
        return address.backend()  # another backend of the same URL sees the same results


def test_different_urls_do_not_share_results() -> None:
    opened("memory://one").store([record("x")])
    assert opened("memory://two").fetch(["x"]) == {}


def test_both_spellings_of_the_url_share_one_namespace() -> None:
    opened("cache+memory://").store([record("spelled")])
    assert list(opened("memory://").fetch(["spelled"])) == ["spelled"]


def test_tuples_come_back_as_the_serializer_reads_them() -> None:
    backend = opened("memory://fidelity")
    backend.store([record("x", result=(1, (2,)))])
    assert backend.fetch(["x"])["x"].result == [1, [2]]


def test_results_never_expire_when_told_so() -> None:
    backend = opened("memory://for-ever", result_expires=None)
    backend.store([record("x")])
    assert backend.clean_up() == 0
    assert list(backend.fetch(["x"])) == ["x"]


def test_expired_records_are_swept_while_storing() -> None:
    backend = opened("memory://swept", result_expires=0.000001)
    backend.SWEEP_EVERY = 10  # a small store sweeps often
    backend._until_sweep = 10
    for _ in range(100):
        backend.store([record()])
    assert len(backend._open().records) <= 20


def test_a_forgotten_watch_may_be_collected_while_results_are_stored() -> None:
    backend = opened("memory://collected")
    backend.store([record("ready")])

    def collect_inside() -> None:
        watching = backend.watch(["ready", "never"], timeout=None)
        next(watching)
        cycle: list[Any] = [watching]
        cycle.append(cycle)
        del watching, cycle
        with backend._open().lock:  # as a collection in the middle of store() would find it
            gc.collect()

    Thread(collect_inside).result()
    assert backend._open().watchers == {}


def test_a_serializer_that_is_not_accepted_is_refused() -> None:
    request = BackendRequest("memory://", {}, JSONSerializer(), frozenset({"application/x-yaml"}), "n")
    with pytest.raises(ImproperlyConfigured, match="result_accept_content"):
        MemoryBackend(request)
