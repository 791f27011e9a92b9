"""Finding serializers, and refusing what may not be read."""

from __future__ import annotations

import contextlib
import pickle
from typing import Any

import pytest
from kombu import serialization

from tq_core.contracts.serializer import Serializer
from tq_core.errors import ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured, PluginNotFound
from tq_core.serializers.registry import SerializerRegistry


class Shout(Serializer):
    name = "shout"
    content_type = "application/x-shout"
    content_encoding = "utf-8"

    def dumps(self, value: Any) -> bytes:
        return str(value).upper().encode()

    def loads(self, data: bytes) -> Any:
        return data.decode()


@pytest.mark.parametrize("name", ["json", "yaml", "pickle", "msgpack"])
def test_a_built_in_serializer_brings_plain_values_back(name: str) -> None:
    registry = SerializerRegistry()
    value = [[1, 2.5, "é", None, True], {"a": {"b": []}}, {}]
    content_type, _, data = registry.encode(value, name)
    assert registry.decode(data, content_type, registry.accept([name])) == value
    kombu_type, _, kombu_data = serialization.dumps(value, serializer=name)
    assert kombu_type == content_type
    raw = kombu_data if isinstance(kombu_data, bytes) else kombu_data.encode()
    assert registry.decode(raw, content_type, registry.accept([name])) == value
    assert serialization.loads(data, content_type, "utf-8", accept={content_type}) == value


@pytest.mark.parametrize("name", ["json", "yaml", "pickle", "msgpack"])
@pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe[", b"{", b"\x80\x05.", b"*", b"!!python/object:os.system 1"])
def test_malformed_data_is_a_decode_error_or_a_value(name: str, data: bytes) -> None:
    with contextlib.suppress(DecodeError):  # any other error fails the test
        SerializerRegistry().get(name).loads(data)


@pytest.mark.parametrize("name", ["json", "yaml", "msgpack", "raw"])
def test_what_cannot_be_held_is_an_encode_error(name: str) -> None:
    with pytest.raises(EncodeError):
        SerializerRegistry().get(name).dumps([object()])


def test_raw_passes_bytes_through() -> None:
    assert SerializerRegistry().encode(b"\x00\xff", "raw") == ("application/data", "binary", b"\x00\xff")


def test_a_content_type_outside_the_accept_list_is_refused_and_never_read() -> None:
    registry = SerializerRegistry()
    accept = registry.accept(["json"])
    bomb = pickle.dumps(1)
    with pytest.raises(ContentDisallowed, match=r"x-python-serialize.*accept_content"):
        registry.decode(bomb, "application/x-python-serialize", accept)
    with pytest.raises(ContentDisallowed):
        registry.decode(bomb, "application/x-python-serialize", None)
    assert registry.decode(bomb, "application/x-python-serialize", registry.accept(["pickle"])) == 1


def test_accept_takes_names_and_content_types() -> None:
    accept = SerializerRegistry().accept(["json", "application/x-yaml", "application/x-own"])
    assert accept == {"application/json", "application/x-yaml", "application/x-own"}


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ImproperlyConfigured, match="did you mean 'json'"):
        SerializerRegistry().get("jsno")


def test_a_third_partys_serializer_comes_through_the_opener() -> None:
    def opener(name: str) -> Serializer:
        if name != "shout":
            raise PluginNotFound(name)
        return Shout()

    registry = SerializerRegistry(opener, {"application/x-shout": "shout"})
    assert registry.encode("hi", "shout")[2] == b"HI"
    assert registry.decode(b"HI", "application/x-shout", registry.accept(["shout"])) == "HI"
    with pytest.raises(PluginNotFound):
        registry.get("whisper")


def test_what_a_program_registered_with_kombu_is_found() -> None:
    serialization.register(
        "backwards", lambda value: value[::-1], lambda data: data[::-1], "application/x-backwards", "utf-8"
    )
    try:
        registry = SerializerRegistry()
        assert registry.encode("abc", "backwards") == ("application/x-backwards", "binary", b"cba")
        assert registry.get("application/x-backwards").is_safe is False
        assert registry.get("backwards").loads(b"cba") in ("abc", b"abc")
    finally:
        serialization.unregister("backwards")
