"""MessagePack: JSON's values and bytes, in a compact binary form."""

from __future__ import annotations

from typing import Any

from tq_core.contracts.serializer import Serializer
from tq_core.errors import DecodeError, EncodeError, ImproperlyConfigured


class MsgpackSerializer(Serializer):
    """MessagePack with bytes and text kept apart.

    Raises:
        ImproperlyConfigured: on creation, when the library is not installed.
    """

    name = "msgpack"
    content_type = "application/x-msgpack"
    content_encoding = "binary"

    def __init__(self) -> None:
        try:
            import msgpack
        except ImportError as error:
            raise ImproperlyConfigured(
                "the serializer msgpack needs the library msgpack: pip install tq-core[msgpack]"
            ) from error
        self._pack = msgpack.packb
        self._unpack = msgpack.unpackb

    def dumps(self, value: Any) -> bytes:
        """Write a value; see :meth:`Serializer.dumps`."""
        try:
            data: bytes = self._pack(value, use_bin_type=True, strict_types=True, default=_plain)
        except Exception as error:  # TypeError, OverflowError, ValueError, and surrogates
            raise EncodeError(f"msgpack cannot hold it: {type(error).__name__}: {error!s:.200}") from error
        return data

    def loads(self, data: bytes) -> Any:
        """Read a value; see :meth:`Serializer.loads`."""
        try:
            # Peers in other languages use number keys, which strict mode would refuse. The unpacker bounds
            # the length of every part by the length of the data, so no header can make it allocate more.
            return self._unpack(data, raw=False, strict_map_key=False)
        except Exception as error:  # malformed data raises ValueError's kin, TypeError and more
            raise DecodeError(f"msgpack cannot be read: {type(error).__name__}: {error!s:.200}") from error


def _plain(value: Any) -> Any:
    """Return what a value of a derived class is in itself.

    The packer would ask a derived map for its length, and that of a group or chain is the number of its tasks.
    """
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):
        return str.__getitem__(value, slice(None))  # str() of a member of an enumeration is its name
    if isinstance(value, bytes):
        return bytes(value)
    for number in (int, float):
        if isinstance(value, number):
            return number(value)
    raise TypeError(f"can not serialize {type(value).__name__!r} object")
