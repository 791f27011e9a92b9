"""Compression: kombu's codecs in both directions, and bombs that do not go off."""

from __future__ import annotations

import tracemalloc

import pytest
from kombu import compression as kombu_compression

from tq_core.errors import DecodeError, ImproperlyConfigured, MessageTooLarge
from tq_core.serializers.compression import compress, decompress

CODECS = ["gzip", "zlib", "bzip2", "bz2", "lzma", "xz", "zstd", "brotli"]
LIMIT = 1 << 20


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("data", [b"", b"x", b"hello " * 1000, bytes(range(256)) * 3000])
def test_what_was_compressed_comes_back(name: str, data: bytes) -> None:
    packed, content_type = compress(data, name)
    assert decompress(packed, content_type, LIMIT) == data


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma", "zstd", "brotli"])
def test_kombu_reads_ours_and_is_read(name: str) -> None:
    data = b"the same on both sides " * 50
    if name not in kombu_compression.encoders() and name not in kombu_compression._aliases:
        pytest.skip(f"this kombu has no {name}: it wants backports.zstd")
    packed, content_type = compress(data, name)
    assert kombu_compression.decompress(packed, content_type) == data
    theirs, their_type = kombu_compression.compress(data, name)
    assert their_type == content_type
    assert decompress(theirs, their_type, LIMIT) == data


@pytest.mark.parametrize("name", CODECS)
def test_a_bomb_stops_at_the_limit_without_its_memory(name: str) -> None:
    bomb, content_type = compress(bytes(32 << 20), name)
    tracemalloc.start()
    try:
        with pytest.raises(MessageTooLarge):
            decompress(bomb, content_type, LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20  # xz alone needs 8 MiB, its dictionary


@pytest.mark.parametrize("name", CODECS)
def test_damaged_data_is_a_decode_error(name: str) -> None:
    packed, content_type = compress(b"hello " * 1000, name)
    for damaged in (b"", b"nonsense", packed[: len(packed) // 2]):
        with pytest.raises(DecodeError):
            decompress(damaged, content_type, LIMIT)


def test_exactly_the_limit_is_allowed() -> None:
    for name in CODECS:
        packed, content_type = compress(bytes(LIMIT), name)
        assert len(decompress(packed, content_type, LIMIT)) == LIMIT


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match="snappy"):
        compress(b"", "snappy")
    with pytest.raises(DecodeError, match="snappy"):
        decompress(b"", "snappy", LIMIT)
