"""Texts for the log: like repr, within the limit, and never an error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core.protocol.saferepr import saferepr


@pytest.mark.parametrize("value", [(), (2, 2), [1, "a"], {"x": 1}, {"x": [1, (2,)]}, (1,), {1}, b"x", None, "é"])
def test_a_small_value_looks_like_its_repr(value: Any) -> None:
    assert saferepr(value) == repr(value)


def test_deep_and_long_values_are_cut() -> None:
    assert saferepr([[[[1]]]]) == "[[[[...]]]]"
    long = saferepr((["x" * 100] * 1000,))
    assert len(long) == 1024
    assert long.endswith("...")
    assert len(saferepr("x" * 50_000_000)) == 1024


class Rude:
    def __repr__(self) -> str:
        raise SystemError("no")


def test_what_has_no_repr_is_described() -> None:
    assert "repr failed with SystemError" in saferepr([Rude()])
    assert "bits" in saferepr([10**5000])
    knot: list[Any] = []
    knot.append(knot)
    assert saferepr(knot) == "[[[[...]]]]"


@given(
    st.recursive(
        st.none() | st.integers() | st.text(st.characters(exclude_categories=[])) | st.binary(),
        lambda p: st.lists(p) | st.dictionaries(st.text(), p) | st.lists(p).map(tuple),
    )
)
def test_any_value_has_a_sendable_text_within_the_limit(value: Any) -> None:
    text = saferepr(value, 100)
    assert len(text) <= 100
    text.encode("utf-8")
