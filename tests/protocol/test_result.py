"""Result documents and result tuples."""

from __future__ import annotations

from typing import Any

import pytest

from tq_core.contracts.backend import ResultRecord
from tq_core.errors import DecodeError
from tq_core.protocol.result import ResultTuple, from_meta, read_tuple, to_meta, write_tuple


def test_a_record_comes_back_with_all_it_holds() -> None:
    record = ResultRecord(
        task_id="one",
        state="SUCCESS",
        result=[1],
        children=([["two", None], None],),
        date_done="2026-11-21T00:00:00+00:00",
        group_id="g",
        parent_id="p",
        extended={"name": "proj.add", "team": "red", "stamped_headers": ["team"]},
    )
    back = from_meta(to_meta(record))
    assert (back.children, back.extended, back.group_id, back.parent_id) == (
        [[["two", None], None]],
        record.extended,
        "g",
        "p",
    )


@pytest.mark.parametrize("meta", [None, [], "x", {}, {"status": 5, "task_id": "x"}, {"status": "SUCCESS"}])
def test_what_is_no_document_is_refused(meta: Any) -> None:
    with pytest.raises(DecodeError):
        from_meta(meta)


def test_a_task_and_an_empty_group_differ() -> None:
    assert write_tuple(ResultTuple("t", ResultTuple("p"))) == [["t", [["p", None], None]], None]
    assert write_tuple(ResultTuple("g", None, ())) == [["g", None], []]
    assert read_tuple([["g", None], [[["t", None], None]]]) == ResultTuple("g", None, (ResultTuple("t"),))


def test_a_chain_longer_than_the_stack_is_written_and_read() -> None:
    result = None
    for number in range(20_000):
        result = ResultTuple(str(number), result)
    assert result is not None
    back: ResultTuple | None = read_tuple(write_tuple(result))
    steps = 0
    while back is not None:
        steps, back = steps + 1, back.parent
    assert steps == 20_000


@pytest.mark.parametrize("value", [None, 5, [], [1, 2], [["a", None]], [["a", 5], None], [[5, None], None], {}])
def test_what_is_no_tuple_is_refused(value: Any) -> None:
    with pytest.raises(DecodeError):
        read_tuple(value)
