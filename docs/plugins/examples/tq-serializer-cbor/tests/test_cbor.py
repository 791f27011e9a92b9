"""What the contract cannot know: the bytes are those of RFC 8949, and no bytes can do harm."""

from __future__ import annotations

import contextlib
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tq_core.errors import DecodeError, EncodeError
from tq_serializer_cbor.serializer import CBORSerializer

CBOR = CBORSerializer()

#: Examples of RFC 8949, appendix A.
EXAMPLES = [
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (1000000, "1a000f4240"),
    (18446744073709551615, "1bffffffffffffffff"),
    (18446744073709551616, "c249010000000000000000"),
    (-18446744073709551617, "c349010000000000000000"),
    (-1000, "3903e7"),
    (1.1, "fb3ff199999999999a"),
    (False, "f4"),
    (None, "f6"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("ü", "62c3bc"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
]

#: What only others write: short floats, and lengths that were not known when the item was begun.
READ_ONLY = [
    (1.5, "f93e00"),
    (100000.0, "fa47c35000"),
    (None, "f7"),
    (b"\x01\x02\x03\x04\x05", "5f42010243030405ff"),
    ("streaming", "7f657374726561646d696e67ff"),
    ([1, [2, 3], [4, 5]], "9f018202039f0405ffff"),
    ({"Fun": True, "Amt": -2}, "bf6346756ef563416d7421ff"),
    (datetime(2013, 3, 21, 20, 4, tzinfo=timezone.utc), "c074323031332d30332d32315432303a30343a30305a"),
]


@pytest.mark.parametrize(("value", "form"), EXAMPLES)
def test_the_examples_of_the_standard_are_written(value: Any, form: str) -> None:
    assert CBOR.dumps(value).hex() == form


@pytest.mark.parametrize(("value", "form"), EXAMPLES + READ_ONLY)
def test_the_examples_of_the_standard_are_read(value: Any, form: str) -> None:
    read = CBOR.loads(bytes.fromhex(form))
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 5, 6, 7, 8, 9, 123456, timezone(timedelta(hours=5.5))),
        date(2026, 5, 6),
        Decimal("-12.3400"),
        Decimal("1E+9"),
        UUID(int=2**100),
        {1: "numbers may be keys", b"\x00": "so may bytes"},
    ],
)
def test_types_survive(value: Any) -> None:
    read = CBOR.loads(CBOR.dumps([value]))
    assert read == [value]
    assert type(read[0]) is type(value)


@pytest.mark.parametrize("value", [object(), datetime(2026, 5, 6), Decimal("NaN"), "\ud800", [{1, 2}]])
def test_what_has_no_form_is_refused(value: Any) -> None:
    with pytest.raises(EncodeError, match="CBOR"):
        CBOR.dumps(value)


def test_a_value_within_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(EncodeError, match="itself"):
        CBOR.dumps(value)


@pytest.mark.parametrize(
    "form",
    ["", "18", "ff", "1c", "f800", "5bffffffffffffffff", "9bffffffffffffffff", "0000", "a18000", "81" * 9999],
)
def test_malformed_data_is_refused(form: str) -> None:
    with pytest.raises(DecodeError):
        CBOR.loads(bytes.fromhex(form))


@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        CBOR.loads(data)


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(JSON_LIKE)
def test_whatever_was_written_is_read_back(value: Any) -> None:
    assert CBOR.loads(CBOR.dumps(value)) == value
