"""The memory backend keeps the backend contract."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from tq_core.backends.memory import MemoryBackend
from tq_core.contracts.backend import Backend, BackendRequest
from tq_core.errors import ImproperlyConfigured
from tq_core.serializers.json import JSONSerializer
from tq_core.testing.conformance.backend import BackendConformance, record

_names = itertools.count()


def opened(url: str, **settings: Any) -> MemoryBackend:
    accept = frozenset({"application/json"})
    return MemoryBackend(BackendRequest(url, settings, JSONSerializer(), accept, "test@here"))


class TestMemoryBackend(BackendConformance):
    @pytest.fixture
    def url(self) -> str:
        return f"memory://conformance-{next(_names)}"

    @pytest.fixture
    def backend(self, url: str) -> Backend:
        return opened(url)

    @pytest.fixture
    def other(self, url: str) -> Backend:
        return opened(url)

    @pytest.fixture
    def short_lived(self, url: str) -> Backend:
        return opened(url, result_expires=timedelta(seconds=0.5))


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


def test_a_serializer_that_is_not_accepted_is_refused() -> None:
    request = BackendRequest("memory://", {}, JSONSerializer(), frozenset({"application/x-yaml"}), "n")
    with pytest.raises(ImproperlyConfigured, match="result_accept_content"):
        MemoryBackend(request)
