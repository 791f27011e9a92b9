"""Serializers that third parties registered with kombu, seen as ours.

Two ways lead there: the entry-point group ``kombu.serializers``, whose values are ``(encoder, decoder,
content_type, content_encoding)``, and calls of ``kombu.serialization.register`` by a program that has kombu
loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from tq_core.contracts.serializer import Serializer
from tq_core.errors import DecodeError, EncodeError

GROUP = "kombu.serializers"


class KombuSerializer(Serializer):
    """A pair of kombu's functions as a serializer.

    Nothing is known about what its reader does with foreign data, so it counts as unsafe: it must be accepted
    by name.

    Args:
        name: as registered.
        encoder: turns a value into bytes or text.
        decoder: reads that, given bytes (binary formats) or text.
        content_type: as registered.
        content_encoding: as registered.
    """

    is_safe = False

    def __init__(
        self,
        name: str,
        encoder: Callable[[Any], bytes | str],
        decoder: Callable[[Any], Any],
        content_type: str,
        content_encoding: str,
    ) -> None:
        # The contract has them per class, since each of ours is one; here they are data.
        self.name = name  # type: ignore[misc]  # see above
        self.content_type = content_type  # type: ignore[misc]  # see above
        self.content_encoding = content_encoding  # type: ignore[misc]  # see above
        self._encoder = encoder
        self._decoder = decoder

    def dumps(self, value: Any) -> bytes:
        """Write a value; see :meth:`Serializer.dumps`."""
        try:
            data = self._encoder(value)
            return data.encode("utf-8") if isinstance(data, str) else bytes(data)
        except Exception as error:  # foreign code
            raise EncodeError(f"{self.name} cannot hold it: {type(error).__name__}: {error!s:.200}") from error

    def loads(self, data: bytes) -> Any:
        """Read a value; see :meth:`Serializer.loads`."""
        try:
            return self._decoder(data)
        except Exception as error:  # foreign code
            raise DecodeError(f"{self.name} cannot be read: {type(error).__name__}: {error!s:.200}") from error


def registered() -> list[KombuSerializer]:
    """Return what the program registered with kombu, if kombu is loaded at all."""
    module = sys.modules.get("kombu.serialization")
    registry = getattr(module, "registry", None)
    if registry is None:
        return []

    def write(name: str, value: Any) -> bytes | str:
        data: bytes | str = registry.dumps(value, serializer=name)[2]
        return data

    def read(kind: str, data: bytes) -> Any:
        return registry.loads(data, kind, "binary", accept={kind})  # whether it is accepted was asked before

    return [
        KombuSerializer(name, partial(write, name), partial(read, kind), kind, "binary")
        for name, kind in dict(registry.name_to_type).items()
    ]


def installed() -> list[KombuSerializer]:
    """Return what installed distributions offer; a broken one is left out."""
    from importlib.metadata import entry_points  # a third of the time of importing this room

    found = []
    for entry in entry_points(group=GROUP):
        try:
            encoder, decoder, content_type, content_encoding = entry.load()
        except Exception:  # foreign code; whoever asks for this name is told that nobody offers it
            continue
        found.append(KombuSerializer(entry.name, encoder, decoder, content_type, content_encoding))
    return found
