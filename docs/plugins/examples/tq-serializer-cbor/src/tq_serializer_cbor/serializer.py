"""The serializer: the two directions, and which errors may leave them."""

from __future__ import annotations

from typing import Any

from tq_core.contracts.serializer import Serializer
from tq_core.errors import DecodeError, EncodeError

from tq_serializer_cbor.reading import Reader
from tq_serializer_cbor.writing import write


class CBORSerializer(Serializer):
    """CBOR as RFC 8949 defines it. It has no state, so that all threads may share one."""

    name = "cbor"
    content_type = "application/cbor"
    content_encoding = "binary"

    def dumps(self, value: Any) -> bytes:
        """Return ``value`` as CBOR."""
        out = bytearray()
        try:
            write(value, out)
        except RecursionError:
            raise EncodeError("the value contains itself, or is nested too deeply for CBOR") from None
        except (TypeError, ValueError) as error:
            raise EncodeError(f"CBOR cannot hold the value: {error}") from error
        return bytes(out)

    def loads(self, data: bytes) -> Any:
        """Return the value in ``data``."""
        try:
            return Reader(data).whole()
        except RecursionError:
            raise DecodeError("the CBOR data is nested too deeply") from None
        except (ArithmeticError, TypeError, ValueError) as error:
            raise DecodeError(f"the data is no CBOR that tq can read: {error}") from error
