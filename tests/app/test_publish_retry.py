"""How often publishing is tried again."""

from __future__ import annotations

from itertools import islice

import pytest

from tq_core.retry import waits_of


def test_the_usual_policy_gives_up_within_a_second() -> None:
    assert list(waits_of({})) == pytest.approx([0.0, 0.2, 0.4])


def test_waits_grow_up_to_the_longest() -> None:
    policy = {"max_retries": 5, "interval_start": 1, "interval_step": 2, "interval_max": 4}
    assert list(waits_of(policy)) == [1.0, 3.0, 4.0, 4.0, 4.0]


@pytest.mark.parametrize("endless", [None, -1])
def test_a_policy_may_have_no_end(endless: int | None) -> None:
    assert len(list(islice(waits_of({"max_retries": endless}), 100))) == 100


def test_no_retries_means_one_try() -> None:
    assert list(waits_of({"max_retries": 0})) == []
