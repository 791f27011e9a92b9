"""The disabled backend takes everything and gives nothing back but an explanation."""

from __future__ import annotations

import pytest

from tq_core.backends.disabled import DisabledBackend
from tq_core.errors import BackendError
from tq_core.testing.conformance.backend import record


def test_results_are_dropped_without_a_word() -> None:
    backend = DisabledBackend()
    assert not backend.capabilities.stores
    backend.connect(1.0)
    backend.store([record()])
    backend.forget(["x"])
    assert backend.clean_up() == 0
    backend.close()


def test_reading_names_the_setting_to_use() -> None:
    with pytest.raises(BackendError, match=r"no result backend is configured.*`result_backend`"):
        DisabledBackend().fetch(["x"])
    with pytest.raises(BackendError, match=r"no result backend is configured.*`result_backend`"):
        DisabledBackend().watch(["x"], timeout=1.0)
