"""Serializers that break a promise each. ``BREAKS`` names what the kit must find."""

from __future__ import annotations

import json
import pickle
from typing import Any

from tq_core.contracts.serializer import Serializer
from tq_core.errors import DecodeError, EncodeError


class Faultless(Serializer):
    """JSON of the standard library, with nothing wrong."""

    name = "double"
    content_type = "application/x-double"
    content_encoding = "utf-8"
    BREAKS: frozenset[str] = frozenset()

    def dumps(self, value: Any) -> bytes:
        try:
            return json.dumps(value).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise EncodeError(str(error)) from error

    def loads(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DecodeError(str(error)) from error


class LosesTypes(Faultless):
    """A boolean comes back as a number."""

    BREAKS = frozenset({"values.plain"})

    def loads(self, data: bytes) -> Any:
        value = super().loads(data)
        return int(value) if isinstance(value, bool) else value


class LosesEmojis(Faultless):
    """Characters beyond the first plane are replaced."""

    BREAKS = frozenset({"values.plain", "values.any"})

    def dumps(self, value: Any) -> bytes:
        return super().dumps(value).replace(b"\\ud83c\\udf88", b"?").replace(b"\\ud8", b"\\ud7")


class WritesAnything(Faultless):
    """What it cannot hold is written as its text."""

    BREAKS = frozenset({"refusal.foreign", "values.bytes"})

    def dumps(self, value: Any) -> bytes:
        try:
            return json.dumps(value, default=repr).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise EncodeError(str(error)) from error


class RaisesItsOwnErrors(Faultless):
    """What the library raises leaves it as it is."""

    BREAKS = frozenset({"reading.malformed", "reading.truncated", "reading.any", "reading.safe"})

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class OverflowsTheStack(Faultless):
    """A value that is nested deeply or contains itself raises whatever it raises."""

    BREAKS = frozenset({"refusal.endless"})

    def dumps(self, value: Any) -> bytes:
        try:
            return json.dumps(value).encode()
        except TypeError as error:
            raise EncodeError(str(error)) from error


class RunsWhatItReads(Faultless):
    """It says that it is safe, and it reads pickles."""

    content_encoding = "binary"
    BREAKS = frozenset({"reading.safe"})

    def dumps(self, value: Any) -> bytes:
        try:
            return pickle.dumps(value)
        except Exception as error:
            raise EncodeError(str(error)) from error

    def loads(self, data: bytes) -> Any:
        try:
            return pickle.loads(data)
        except Exception as error:
            raise DecodeError(str(error)) from error


class ChangesWhatItWrites(Faultless):
    """It sorts lists of the value that it is given."""

    BREAKS = frozenset({"values.untouched"})

    def dumps(self, value: Any) -> bytes:
        data = super().dumps(value)
        if isinstance(value, dict) and "list" in value:
            value["list"].append(None)
        return data


class MisnamesItself(Faultless):
    """Its content type cannot stand in a header."""

    content_type = "double"
    BREAKS = frozenset({"names.complete"})


class WritesLatin(Faultless):
    """A text format that writes Latin-1."""

    BREAKS = frozenset({"names.encoding"})

    def dumps(self, value: Any) -> bytes:
        try:
            return super().dumps(value).replace(b"\\u00fc", b"\xfc")
        except UnicodeEncodeError as error:
            raise EncodeError(str(error)) from error

    def loads(self, data: bytes) -> Any:
        return super().loads(data.replace(b"\xfc", b"\\u00fc"))


ALL = [kind for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, Faultless)]
