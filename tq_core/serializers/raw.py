"""No format at all: bytes go through as they are."""

from __future__ import annotations

from typing import Any

from tq_core.contracts.serializer import Serializer
from tq_core.errors import EncodeError


class RawSerializer(Serializer):
    """Passes bytes through, and text as UTF-8."""

    name = "raw"
    content_type = "application/data"
    content_encoding = "binary"

    def dumps(self, value: Any) -> bytes:
        """Return the bytes; see :meth:`Serializer.dumps`."""
        if isinstance(value, str):
            return value.encode("utf-8", "surrogatepass")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        raise EncodeError(f"the serializer raw takes bytes or text, not {type(value).__name__}; encode it")

    def loads(self, data: bytes) -> Any:
        """Return the bytes."""
        return bytes(data)
