"""Pickle: holds nearly any Python object, and runs whatever code the sender of a message chose."""

from __future__ import annotations

from typing import Any

from tq_core.contracts.serializer import Serializer
from tq_core.errors import DecodeError, EncodeError


class PickleSerializer(Serializer):
    """Python's own format. Never accept it from a broker that strangers can write to."""

    name = "pickle"
    content_type = "application/x-python-serialize"
    content_encoding = "binary"
    is_safe = False

    def dumps(self, value: Any) -> bytes:
        """Write a value; see :meth:`Serializer.dumps`."""
        import pickle  # most applications never do

        try:
            return pickle.dumps(value, protocol=4)  # the oldest supported peers read 4
        except Exception as error:  # __reduce__ is foreign code
            raise EncodeError(f"pickle cannot hold it: {type(error).__name__}: {error!s:.200}") from error

    def loads(self, data: bytes) -> Any:
        """Read a pickle; see :meth:`Serializer.loads`."""
        import pickle

        try:
            return pickle.loads(data)
        except Exception as error:  # unpickling runs foreign code
            raise DecodeError(f"pickle cannot be read: {type(error).__name__}: {error!s:.200}") from error
