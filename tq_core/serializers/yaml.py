"""YAML, restricted to plain values."""

from __future__ import annotations

from typing import Any

from tq_core.contracts.serializer import Serializer
from tq_core.errors import DecodeError, EncodeError


class YAMLSerializer(Serializer):
    """YAML as ``safe_dump`` writes and ``safe_load`` reads it; no tags that name classes."""

    name = "yaml"
    content_type = "application/x-yaml"
    content_encoding = "utf-8"

    def dumps(self, value: Any) -> bytes:
        """Write a value; see :meth:`Serializer.dumps`."""
        import yaml

        try:
            return yaml.safe_dump(_listed(value), allow_unicode=False).encode("utf-8")
        except Exception as error:  # RepresenterError, RecursionError, and what a foreign __repr__ raises
            raise EncodeError(f"YAML cannot hold it: {type(error).__name__}: {error!s:.200}") from error

    def loads(self, data: bytes) -> Any:
        """Read a text; see :meth:`Serializer.loads`."""
        import yaml

        try:
            # Anchors unfold to shared objects: a few bytes may describe a tree of billions of parts that
            # takes no memory here. Whoever walks a foreign value must not visit a shared part twice.
            return yaml.safe_load(bytes(data))
        except Exception as error:  # the parser has many errors of its own, and malformed scalars others
            raise DecodeError(f"YAML cannot be read: {type(error).__name__}: {error!s:.200}") from error


def _listed(value: Any) -> Any:
    """Return the value with tuples as lists, which is how ``safe_dump`` writes those it knows at all."""
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return value
