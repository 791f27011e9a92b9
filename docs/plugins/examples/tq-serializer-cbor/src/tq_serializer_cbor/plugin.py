"""What tq reads to know this plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tq_core.plugin import PluginInfo, hookimpl

if TYPE_CHECKING:
    from tq_core.contracts.serializer import Serializer

info = PluginInfo(
    name="tq-serializer-cbor",
    summary="CBOR (RFC 8949): compact, binary, and exact about bytes, dates and decimals.",
)


@hookimpl
def tq_serializer(name: str) -> Serializer:
    """Return the serializer ``cbor``."""
    from tq_serializer_cbor.serializer import CBORSerializer

    return CBORSerializer()
