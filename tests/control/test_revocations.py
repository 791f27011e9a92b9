"""What must not run is remembered, within bounds."""

from __future__ import annotations

import pytest

from tq_core.runner import revocations
from tq_core.runner.revocations import Revocations


def test_the_latest_are_kept_when_they_are_too_many() -> None:
    kept = Revocations(["a", "b", "c"], most=3)
    kept.update(["a", "d"])
    assert kept.ids() == ("c", "a", "d")
    assert "b" not in kept
    assert "a" in kept


def test_ids_are_forgotten_after_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(revocations, "monotonic", lambda: now)
    kept = Revocations(["a"], lifetime=60)
    assert "a" in kept
    now += 61
    assert "a" not in kept
    assert kept.ids() == ()
    kept.update(["b"])
    assert kept.ids() == ("b",)
