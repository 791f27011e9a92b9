"""The serializer contract as tests: subclass :class:`SerializerConformance`, override ``address`` or ``serializer``."""

from __future__ import annotations

import pickle
import re
from contextlib import suppress
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tq_core.contracts.serializer import Serializer
from tq_core.errors import DecodeError, EncodeError
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.patience import Thread
from tq_core.testing.conformance.promises import Conformance, promise

#: Values of every plain kind, the corners of each among them.
PLAIN: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, -(2**63), 2**63 - 1),
    *(0.0, 1.0, -2.5, 0.1, 1e300, 5e-324),
    *("", "text", "1", "null", "NUL \x00 inside", "ü☃🎈", " space ", "line\nline\r\n\ttab", "x" * 100_000),
    *([], {}, [None], [[], [[]]], {"": ""}, {"1": 1, "a b": [True, {"deep": -0.5}]}),
)

_plain_leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_plain_values = st.recursive(
    _plain_leaves | _texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_texts, inner, max_size=5),
    max_leaves=20,
)
#: The same examples in every run, so that a run proves the same today and tomorrow.
_steady = settings(max_examples=100, derandomize=True, database=None, deadline=None)


class Unserializable:
    """No format can hold it."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("Unserializable cannot be reduced")


_reached: list[str] = []


def reach(word: str) -> None:
    """Note that foreign code ran; named by data that no safe format may act upon."""
    _reached.append(word)


class _Mine:
    """Its pickle calls :func:`reach`."""

    def __reduce__(self) -> Any:
        return reach, ("pickle",)


def same(one: Any, other: Any) -> bool:
    """Tell whether two plain values are equal in value and in type, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


class SerializerConformance(Conformance):
    """Every promise of :mod:`tq_core.contracts.serializer`."""

    contract: ClassVar[str] = "serializer"

    @pytest.fixture
    def address(self) -> Address | None:
        """Names the serializer as settings do; to be overridden where ``serializer`` is not."""
        return None

    @pytest.fixture
    def serializer(self, address: Address | None) -> Serializer:
        """The serializer under test; to be overridden where there is no ``address``."""
        if address is None:
            raise NotImplementedError("override the fixture `address`, or `serializer`")
        return address.serializer()

    @pytest.fixture
    def plain(self, serializer: Serializer) -> Serializer:
        """The serializer, where it is not for bytes alone."""
        try:
            serializer.dumps([1])
        except EncodeError:
            pytest.skip("the format refuses plain values; it is for bytes alone")
        return serializer

    # --- what it is called

    @promise("names.complete", "name, content type and content encoding are what messages can carry")
    def test_its_names_can_be_written_into_messages(self, serializer: Serializer) -> None:
        assert re.fullmatch(r"[\w.+-]+", serializer.name)
        assert re.fullmatch(r"[\w.+-]+/[\w.+-]+", serializer.content_type)
        assert serializer.content_encoding in ("utf-8", "binary")
        assert isinstance(serializer.is_safe, bool)

    @promise("names.encoding", "a text format writes UTF-8")
    def test_a_text_format_writes_utf_8(self, serializer: Serializer) -> None:
        if serializer.content_encoding == "binary":
            pytest.skip("the format is binary")
        serializer.dumps(["ü☃", 1, None]).decode("utf-8")

    # --- what it holds

    @promise("values.plain", "plain values come back equal and of their type")
    @pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
    def test_plain_values_come_back(self, plain: Serializer, value: Any) -> None:
        data = plain.dumps(value)
        assert type(data) is bytes
        assert same(plain.loads(data), value)

    @promise("values.body", "the body of a task message comes back; tuples may come back as lists")
    def test_a_task_body_comes_back(self, plain: Serializer) -> None:
        embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        args, kwargs, rest = plain.loads(plain.dumps(((1, "two"), {"three": [4]}, embed)))
        assert (list(args), kwargs, rest) == ([1, "two"], {"three": [4]}, embed)

    @promise("values.any", "any plain value comes back (values made up by hypothesis)")
    def test_any_plain_value_comes_back(self, plain: Serializer) -> None:
        @_steady
        @given(_plain_values)
        def comes_back(value: Any) -> None:
            assert same(plain.loads(plain.dumps(value)), value)

        comes_back()

    @promise("values.bytes", "a format that takes bytes gives them back")
    def test_bytes_come_back(self, serializer: Serializer) -> None:
        value = bytes(range(256))
        try:
            data = serializer.dumps(value)
        except EncodeError:
            pytest.skip("the format takes no bytes")
        got = serializer.loads(data)
        assert (type(got), got) == (bytes, value)

    @promise("values.untouched", "writing a value changes neither the value nor what is written next time")
    def test_writing_leaves_the_value_alone(self, plain: Serializer) -> None:
        value = {"list": [1, (2, 3)], "map": {"a": None}}
        first = plain.dumps(value)
        assert value == {"list": [1, (2, 3)], "map": {"a": None}}
        assert plain.dumps(value) == first

    @promise("values.threads", "many threads may write and read at once")
    def test_many_threads_may_write_and_read(self, plain: Serializer) -> None:
        def work(n: int) -> bool:
            values = [[n, i, {"text": "x" * i}] for i in range(200)]
            return all(plain.loads(plain.dumps(value)) == value for value in values)

        threads = [Thread(lambda n=n: work(n)) for n in range(8)]  # type: ignore[misc]  # n is bound per thread
        assert all(thread.result() for thread in threads)

    # --- what it refuses

    @promise("refusal.foreign", "what the format cannot hold is an EncodeError that names the type")
    @pytest.mark.parametrize("place", ["top", "list", "map"])
    def test_what_it_cannot_hold_is_refused(self, serializer: Serializer, place: str) -> None:
        culprit = Unserializable()
        value = {"top": culprit, "list": [1, [culprit]], "map": {"key": {"deep": culprit}}}[place]
        with pytest.raises(EncodeError) as refused:
            serializer.dumps(value)
        named = {"Unserializable", type(value).__name__}  # a format for bytes alone looks no deeper
        assert any(name in str(refused.value) for name in named)

    @promise("refusal.endless", "a value that contains itself, or is nested very deeply, is written or an EncodeError")
    def test_endless_values_do_no_harm(self, serializer: Serializer) -> None:
        circle: list[Any] = []
        circle.append(circle)
        deep: list[Any] = []
        for _ in range(20_000):
            deep = [deep]
        for value in (circle, deep):
            with suppress(EncodeError):
                serializer.dumps(value)
        while deep:
            deep = deep.pop()  # taken apart by hand: older Pythons free a deep list by recursion

    # --- what it reads

    @promise("reading.malformed", "malformed data is a DecodeError and nothing else")
    @pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 64, b"{", b'{"a": ', b"[" * 1000, b"\x80\x04", b"\xc1"])
    def test_malformed_data_is_a_decode_error(self, serializer: Serializer, data: bytes) -> None:
        with suppress(DecodeError):  # to one format or another it may even be well-formed
            serializer.loads(data)

    @promise("reading.truncated", "data that was cut off is a DecodeError, or another value, and nothing else")
    def test_truncated_data_is_a_decode_error(self, plain: Serializer) -> None:
        data = plain.dumps([[1, "two", {"three": 4.5}], None, True])
        for end in range(len(data)):
            with suppress(DecodeError):
                plain.loads(data[:end])

    @promise("reading.any", "reading any bytes at all raises nothing but DecodeError (bytes made up by hypothesis)")
    def test_any_bytes_are_read_or_refused(self, serializer: Serializer) -> None:
        if not serializer.is_safe:
            pytest.skip("the format runs what it reads, and says so")

        @_steady
        @given(st.binary(max_size=60))
        def is_read_or_refused(data: bytes) -> None:
            with suppress(DecodeError):
                serializer.loads(data)

        is_read_or_refused()

    @promise("reading.safe", "a format that calls itself safe runs no code that data names")
    @pytest.mark.parametrize(
        "data",
        [
            pickle.dumps(_Mine(), 2),
            pickle.dumps(_Mine(), 0),
            f"!!python/object/apply:{__name__}.reach ['yaml']\n".encode(),
            f"!!python/object/new:{__name__}.reach ['yaml']\n".encode(),
            f'__import__("{__name__}", fromlist=["reach"]).reach("eval")'.encode(),
        ],
        ids=["pickle 2", "pickle 0", "yaml apply", "yaml new", "eval"],
    )
    def test_a_safe_format_runs_nothing(self, serializer: Serializer, data: bytes) -> None:
        if not serializer.is_safe:
            pytest.skip("the format runs what it reads, and says so")
        _reached.clear()
        with suppress(DecodeError):
            serializer.loads(data)
        assert _reached == []
