"""Which serializer a name or a content type means, and which of them may be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tq_core.contracts.serializer import Serializer
from tq_core.errors import ContentDisallowed, DecodeError, ImproperlyConfigured
from tq_core.serializers import kombu_codecs
from tq_core.serializers.json import JSONSerializer
from tq_core.serializers.msgpack import MsgpackSerializer
from tq_core.serializers.pickle import PickleSerializer
from tq_core.serializers.raw import RawSerializer
from tq_core.serializers.yaml import YAMLSerializer

_BUILT_IN: dict[str, type[Serializer]] = {
    kind.name: kind for kind in (JSONSerializer, YAMLSerializer, PickleSerializer, MsgpackSerializer, RawSerializer)
}
_ALIASES = {
    "yml": "yaml",
    "x-msgpack": "msgpack",
    "application/msgpack": "msgpack",
    "application/vnd.msgpack": "msgpack",
    "binary": "raw",
    "application/octet-stream": "raw",
    **{kind.content_type: name for name, kind in _BUILT_IN.items()},
}
#: Reading these runs no decoder at all, so kombu's peers may send them whatever ``accept_content`` says.
_TRUSTED = frozenset({"application/data", "application/text"})


class SerializerRegistry:
    """Serializers by name, alias or content type; each is opened when first asked for.

    The built-in ones need no plugin look-up. Safe to use from several threads: at worst two of them open the
    same stateless serializer.

    Args:
        open: opens a third party's serializer by name or content type (the plugin manager); raises a
            ``TQError`` when nobody offers it. None where there are no plugins.
        content_types: content type → name, for third parties' serializers known in advance.
    """

    def __init__(
        self, open: Callable[[str], Serializer] | None = None, content_types: Mapping[str, str] | None = None
    ) -> None:
        self._open = open
        self._names = {**(content_types or {}), **_ALIASES}
        self._known: dict[str, Serializer] = {}
        self._installed: list[kombu_codecs.KombuSerializer] | None = None

    def get(self, name: str) -> Serializer:
        """Return the serializer of a name, alias or content type.

        Raises:
            ImproperlyConfigured: nobody offers it, or a library it needs is missing.
            PluginError: the plugin that offers it cannot be used.
        """
        known = self._known.get(name)
        if known is None:
            known = self._find(name)
            self._known[name] = known
            self._known.setdefault(known.content_type, known)
        return known

    def _find(self, asked: str) -> Serializer:
        if not isinstance(asked, str):
            raise ImproperlyConfigured(f"a serializer is named by text, not by {type(asked).__name__}")
        name = self._names.get(asked.lower(), asked)
        built_in = _BUILT_IN.get(name)
        if built_in is not None:
            return built_in()
        from_kombu = self._from_kombu(name)
        if from_kombu is not None:
            return from_kombu
        if self._open is not None:
            return self._open(name)
        import difflib

        close = difflib.get_close_matches(name, _BUILT_IN, 1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; built in are {', '.join(_BUILT_IN)}"
        raise ImproperlyConfigured(f"no installed distribution offers the serializer {asked!r:.80}{hint}")

    def _from_kombu(self, name: str) -> Serializer | None:
        if self._installed is None:
            self._installed = kombu_codecs.installed()
        for candidate in (*kombu_codecs.registered(), *self._installed):
            if name in (candidate.name, candidate.content_type):
                return candidate
        return None

    def accept(self, names: Iterable[str]) -> frozenset[str]:
        """Return the content types that a setting like ``accept_content`` stands for.

        Args:
            names: names, aliases or content types; a content type nobody knows is kept as it is.

        Raises:
            ImproperlyConfigured: a name is unknown.
        """
        names = [names] if isinstance(names, str) else names
        return frozenset(
            name if "/" in name and name not in self._names else self.get(name).content_type for name in names
        )

    def check_untrusted(self, content_type: str, accept: frozenset[str] | None) -> None:
        """Refuse a content type that may not be read.

        Args:
            content_type: of a message or a stored result.
            accept: what :meth:`accept` returned; None accepts every format whose reader runs no foreign code.

        Raises:
            ContentDisallowed: it may not be read.
        """
        if content_type in _TRUSTED:
            return
        if accept is None:
            allowed = self.get(content_type).is_safe
        else:
            allowed = content_type in accept or self._names.get(content_type) in self._accepted_names(accept)
        if not allowed:
            listed = ", ".join(sorted(accept)) if accept else "only safe formats"
            raise ContentDisallowed(
                f"refusing to read content of type {content_type!r:.80} (accepted: {listed}); if its "
                "senders are trusted, add it to accept_content (for results: result_accept_content)"
            )

    def _accepted_names(self, accept: frozenset[str]) -> set[str]:
        return {self._names[kind] for kind in accept if kind in self._names}

    def encode(self, value: Any, name: str) -> tuple[str, str, bytes]:
        """Serialize ``value`` and return content type, content encoding and bytes.

        Raises:
            EncodeError: it cannot be serialized.
        """
        serializer = self.get(name)
        return serializer.content_type, serializer.content_encoding, serializer.dumps(value)

    def decode(self, data: bytes, content_type: str, accept: frozenset[str] | None) -> Any:
        """Read foreign data, if its content type is accepted.

        Raises:
            ContentDisallowed: the content type is not accepted.
            DecodeError: the data is malformed, or its format's library is missing.
        """
        if accept is None or content_type not in accept:
            self.check_untrusted(content_type, accept)
        known = self._known.get(content_type)
        if known is None:
            try:
                known = self.get(content_type)
            except ImproperlyConfigured as error:
                raise DecodeError(str(error)) from error
        return known.loads(data)

    def decompress(self, data: bytes, content_type: str, limit: int) -> bytes:
        """Undo compression; see :func:`tq_core.serializers.compression.decompress`."""
        from tq_core.serializers import compression  # its codecs are needed by few

        return compression.decompress(data, content_type, limit)
