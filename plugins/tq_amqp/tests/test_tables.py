"""Frames and field tables."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from amqp.serialization import dumps, loads
from hypothesis import given
from hypothesis import strategies as st
from tq_amqp.frames import read_properties, write_properties
from tq_amqp.tables import decode_table, encode_table

_scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=40)
)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4)
)
_tables = st.dictionaries(st.text(max_size=20), _values, max_size=6)


@given(_tables)
def test_a_table_is_read_as_it_was_written(table: dict[str, Any]) -> None:
    data = b"before" + encode_table(table) + b"after"
    assert decode_table(data, 6) == (table, len(data) - 5)


@given(_tables)
def test_py_amqp_reads_what_we_write(table: dict[str, Any]) -> None:
    ((read,), _) = loads("F", encode_table(table), 0)
    assert read == table


@given(_tables)
def test_we_read_what_py_amqp_writes(table: dict[str, Any]) -> None:
    assert decode_table(dumps("F", [table]), 0)[0] == table


def test_types_that_json_does_not_have_are_kept() -> None:
    table = {"bytes": b"\x00\xff", "when": datetime(2026, 1, 2, tzinfo=timezone.utc), "exact": Decimal("-12.34")}
    assert decode_table(encode_table(table), 0)[0] == table


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"n": 2**63}, "64 bits"),
        ({"x" * 256: 1}, "255"),
        ({"o": object()}, "object"),
    ],
)
def test_what_amqp_cannot_hold_is_refused_by_name(table: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        encode_table(table)


@given(_tables, st.data())
def test_a_table_that_is_cut_or_changed_is_a_value_error_or_another_table(table: dict[str, Any], data: Any) -> None:
    written = bytearray(encode_table(table))
    place = data.draw(st.integers(0, len(written) - 1))
    written[place] = data.draw(st.integers(0, 255))
    cut = bytes(written[: data.draw(st.integers(0, len(written)))])
    with suppress(ValueError):
        decode_table(cut, 0)


def test_a_table_nested_without_end_is_refused() -> None:
    table: dict[str, Any] = {}
    for _ in range(200):
        table = {"t": table}
    with pytest.raises(ValueError, match="nested"):
        encode_table(table)
    data = b""
    for _ in range(200):
        data = len(b"\x01tF" + data).to_bytes(4, "big") + b"\x01tF" + data if data else b"\x00\x00\x00\x00"
    with pytest.raises(ValueError, match="nested"):
        decode_table(data, 0)


def test_properties_are_read_as_they_were_written() -> None:
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {"id": "x"},
        "delivery_mode": 2,
        "priority": 9,
        "correlation_id": "the-id",
        "reply_to": "replies",
        "expiration": "60000",
        "message_id": "m",
        "timestamp": 1_700_000_000,
        "type": "t",
        "app_id": "a",
    }
    assert read_properties(bytes(12) + write_properties(properties)) == properties


@pytest.mark.parametrize(
    "header", [bytes(12), bytes(12) + b"\xff\xff", bytes(12) + b"\x80\x00\x05ab", bytes(12) + b"\x20\x00\x00"]
)
def test_properties_that_are_cut_off_are_a_value_error(header: bytes) -> None:
    with pytest.raises(ValueError):
        read_properties(header)
