"""Pickle: holds nearly any Python object, and runs whatever code the sender of a message chose."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

from tq_core import errors
from tq_core.contracts.serializer import Serializer
from tq_core.errors import DecodeError, EncodeError

if TYPE_CHECKING:
    from pickle import Pickler, Unpickler


class PickleSerializer(Serializer):
    """Python's own format. Never accept it from a broker that strangers can write to."""

    name = "pickle"
    content_type = "application/x-python-serialize"
    content_encoding = "binary"
    is_safe = False

    def dumps(self, value: Any) -> bytes:
        """Write a value; see :meth:`Serializer.dumps`."""
        buffer = io.BytesIO()
        try:
            _classes()[0](buffer, protocol=4).dump(value)  # the oldest supported peers read 4
            return buffer.getvalue()
        except Exception as error:  # __reduce__ is foreign code
            raise EncodeError(f"pickle cannot hold it: {type(error).__name__}: {error!s:.200}") from error

    def loads(self, data: bytes) -> Any:
        """Read a pickle; see :meth:`Serializer.loads`."""
        try:
            return _classes()[1](io.BytesIO(data)).load()
        except Exception as error:  # unpickling runs foreign code
            raise DecodeError(f"pickle cannot be read: {type(error).__name__}: {error!s:.200}") from error


@cache
def _classes() -> tuple[type[Pickler], type[Unpickler]]:
    """Return what writes and what reads pickles that are shared with Celery."""
    import pickle  # most applications never do

    class SharedPickler(pickle.Pickler):
        """Writes signatures as the plain maps they are in JSON: who reads them need not have tq."""

        def reducer_override(self, value: Any) -> Any:
            if getattr(type(value), "travels_as_map", False):
                return dict, (dict(value),)
            return NotImplemented

    class SharedUnpickler(pickle.Unpickler):
        """Reads what Celery wrote, also where Celery is not installed."""

        def find_class(self, module: str, name: str) -> Any:
            if module == "celery.canvas" and name == "signature":
                return dict  # the function by which Celery's signatures are restored from their map
            if module == "celery.exceptions" and hasattr(errors, name):
                return getattr(errors, name)
            return super().find_class(module, name)

    return SharedPickler, SharedUnpickler
