"""The JSON dialect: what kombu writes is read, what is written kombu reads, whichever way is taken."""

from __future__ import annotations

import enum
import math
import os
import subprocess
import sys
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.utils import json as kombu_json

from tq_core.errors import DecodeError, EncodeError
from tq_core.serializers import json as ours
from tq_core.serializers.json import JSONSerializer

serializer = JSONSerializer()

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]))
    | st.binary()
    | st.datetimes(timezones=st.none() | st.just(timezone.utc) | st.just(timezone(timedelta(hours=-5))))
    | st.dates()
    | st.times()
    | st.decimals(allow_nan=False)
    | st.uuids()
)
keys = st.text(st.characters(exclude_categories=[]), max_size=8) | st.sampled_from(["__type__", "__value__"])
values = st.recursive(
    scalars,
    lambda parts: (
        st.lists(parts)
        | st.lists(parts).map(tuple)
        | st.dictionaries(keys | st.integers() | st.booleans() | st.none(), parts)
    ),
    max_leaves=20,
)


def same(left: Any, right: Any) -> bool:
    """Compare values with their types, NaN equal to itself, tuples to lists."""
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


def outcome(read: Any, data: Any) -> tuple[str, Any]:
    try:
        return "value", read(data)
    except Exception as error:
        return "error", type(error)


@settings(max_examples=400, deadline=None)
@given(values)
def test_both_ways_of_writing_and_kombus_mean_the_same(value: Any) -> None:
    try:
        reference = kombu_json.dumps(value)
    except Exception:
        with pytest.raises(EncodeError):
            serializer.dumps(value)
        return
    written = serializer.dumps(value)
    kind, expected = outcome(kombu_json.loads, reference)
    for text in (written, ours._exact_write(value).encode()):
        found = outcome(kombu_json.loads, text)
        assert found[0] == kind
        assert kind == "error" or same(found[1], expected)
    found = outcome(serializer.loads, reference.encode())
    assert found[0] == kind
    assert found[1] is DecodeError if kind == "error" else same(found[1], expected)


texts = st.binary() | st.text(
    st.sampled_from('[]{}:,"\\ue0d8123456789.-+ENaInfinitytruefls_\n\t \x00é'), max_size=30
).map(lambda text: text.encode("utf-8"))


@settings(max_examples=600, deadline=None)
@given(texts)
def test_both_ways_of_reading_agree_on_any_bytes(data: bytes) -> None:
    fast = outcome(serializer.loads, data)
    exact = outcome(lambda raw: ours._exact_read(raw.decode("utf-8")), data)
    assert fast[0] == exact[0]
    assert fast[1] is DecodeError if fast[0] == "error" else same(fast[1], exact[1])


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class OwnForm:
    def __json__(self) -> Any:
        return {"own": [1, b"x"]}


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "read_back"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (OwnForm(), {"own": [1, b"x"]}),
        (Point(1, 2), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        ({1: "a", None: "b", False: "c", 1.5: "d"}, {"1": "a", "null": "b", "false": "c", "1.5": "d"}),
        ("\ud800", "\ud800"),
        (2**70, 2**70),
        (float("inf"), float("inf")),
        (datetime(2026, 1, 2, 3, 4, 5, 6, timezone.utc), datetime(2026, 1, 2, 3, 4, 5, 6, timezone.utc)),
        (date(2026, 1, 2), date(2026, 1, 2)),
        (time(3, 4, 5), time(3, 4, 5)),
        (Decimal("1.50"), Decimal("1.50")),
        (uuid.UUID(int=5), uuid.UUID(int=5)),
        (b"text", b"text"),
        (b"\xff\xfe", b"\xff\xfe"),
    ],
)
def test_a_value_outside_plain_json_comes_back_as_kombu_brings_it_back(value: Any, read_back: Any) -> None:
    data = serializer.dumps({"x": value})
    assert same(serializer.loads(data), {"x": read_back})
    assert same(kombu_json.loads(data), {"x": read_back})


@dataclass
class Plain:
    x: int = 1


class Grade(enum.Enum):
    GOOD = 1


@pytest.mark.parametrize(
    "value",
    [{1, 2}, frozenset(), Plain(), Grade.GOOD, object(), bytearray(b"x"), timedelta(1), 1j, {(1,): 2}],
)
def test_what_kombu_refuses_is_refused_though_msgspec_could_write_it(value: Any) -> None:
    with pytest.raises(TypeError):
        kombu_json.dumps(value)
    with pytest.raises(EncodeError):
        serializer.dumps([value])


def test_an_error_names_type_and_place_in_the_words_of_a_call() -> None:
    with pytest.raises(EncodeError, match=r"builtins\.set, found at args\[0\]\['x'\]"):
        serializer.dumps(([{"x": {1}}], {}, {"callbacks": None}))
    with pytest.raises(EncodeError, match=r"Plain, found at kwargs\['who'\]\[2\]"):
        serializer.dumps(([], {"who": [1, 2, Plain()]}, {"callbacks": None}))


def test_a_value_that_contains_itself_is_refused() -> None:
    knot: list[Any] = []
    knot.append(knot)
    with pytest.raises(EncodeError, match="contains itself"):
        serializer.dumps(knot)


@pytest.mark.parametrize("data", [b"[" * 200_000, b'{"a":' * 200_000, b'{"__type__":' * 100_000 + b"1"])
def test_a_depth_bomb_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        serializer.loads(data)


@pytest.mark.parametrize(
    "text",
    [
        '{"__type__": "gadget", "__value__": 1}',
        '{"__type__": [], "__value__": 1}',
        '{"__type__": "datetime", "__value__": "yesterday"}',
        '{"__type__": "datetime", "__value__": 5}',
        '{"__type__": "uuid", "__value__": {"int": "x"}}',
        '{"__type__": "decimal", "__value__": "many"}',
        '{"\\u005f_type__": "gadget", "__value__": 1}',
    ],
)
def test_a_malformed_wrapped_value_is_a_decode_error(text: str) -> None:
    with pytest.raises(DecodeError):
        serializer.loads(text.encode())


def test_a_third_key_makes_a_wrapped_value_an_ordinary_map() -> None:
    value = {"__type__": "date", "__value__": "2020-01-01", "x": 1}
    assert serializer.loads(serializer.dumps(value)) == value


def test_it_works_without_msgspec() -> None:
    program = (
        "import sys; sys.modules['msgspec'] = None\n"
        "from tq_core.serializers.json import JSONSerializer as S\n"
        "value = [[1, 'é', None], {'a': b'x'}, {}]\n"
        "assert S().loads(S().dumps(value)) == value; print('fine')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fine", done.stderr
