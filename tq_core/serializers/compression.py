"""Compression of message bodies: the codecs kombu knows, with reading that no bomb can blow up.

A body is compressed after it was serialized; the ``compression`` header names the codec by content type.
Reading is streamed and stops at a limit, so a few kilobytes cannot unfold to gigabytes.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from tq_core.errors import DecodeError, EncodeError, ImproperlyConfigured, MessageTooLarge

#: Bytes read from a stream at once.
_CHUNK = 1 << 16
#: Most memory an xz stream may ask for; the highest preset needs 65 MiB.
_LZMA_MEMORY = 128 << 20
#: Largest zstd window; what every level short of ``--ultra`` stays below.
_ZSTD_WINDOW = 1 << 27
#: Bytes of input fed at once to a brotli without an output limit: little, since each can unfold greatly.
_BROTLI_SIP = 16


@dataclass(frozen=True, slots=True)
class Codec:
    """One way to compress.

    Attributes:
        content_type: what the ``compression`` header says.
        aliases: names used in settings.
        pack: compresses.
        unpack: undoes it, given the most bytes to return; raises ``MessageTooLarge`` beyond.
    """

    content_type: str
    aliases: tuple[str, ...]
    pack: Callable[[bytes], bytes]
    unpack: Callable[[bytes, int], bytes]


def compress(data: bytes, name: str) -> tuple[bytes, str]:
    """Compress ``data``.

    Args:
        data: serialized body.
        name: a codec's alias or content type.

    Returns:
        the compressed bytes, and the content type for the ``compression`` header.

    Raises:
        ImproperlyConfigured: the codec is unknown or its library is not installed.
        EncodeError: the library refused.
    """
    codec = codec_named(name)
    try:
        return codec.pack(data), codec.content_type
    except ImproperlyConfigured:
        raise
    except Exception as error:  # each library has errors of its own
        raise EncodeError(f"{name} cannot compress the body: {type(error).__name__}: {error}") from error


def decompress(data: bytes, content_type: str, limit: int) -> bytes:
    """Undo :func:`compress`.

    Args:
        data: compressed bytes.
        content_type: the ``compression`` header, a content type or an alias.
        limit: most bytes to unfold to; hardly more than that is ever allocated.

    Raises:
        MessageTooLarge: it unfolds to more than ``limit``.
        DecodeError: the data is damaged or cut off, the codec is unknown, or its library is not installed.
    """
    codec = _CODECS.get(content_type) or _CODECS.get(content_type.lower())
    if codec is None:
        raise DecodeError(f"unknown compression {content_type[:60]!r}; known are {', '.join(_names())}")
    try:
        return codec.unpack(data, limit)
    except DecodeError:  # MessageTooLarge is one
        raise
    except ImproperlyConfigured as error:
        raise DecodeError(str(error)) from error
    except Exception as error:  # each library has errors of its own
        raise DecodeError(f"{content_type} cannot be decompressed: {type(error).__name__}: {error}") from error


def codec_named(name: str) -> Codec:
    """Return the codec of an alias or content type.

    Raises:
        ImproperlyConfigured: there is none.
    """
    codec = _CODECS.get(name.lower())
    if codec is None:
        raise ImproperlyConfigured(f"unknown compression {name!r}; known are {', '.join(_names())}")
    return codec


def _names() -> list[str]:
    return [alias for codec in _ALL for alias in codec.aliases]


def _too_large(limit: int) -> MessageTooLarge:
    return MessageTooLarge(f"the body unfolds to more than {limit} bytes; raise the limit if that is expected")


def _unfold(decompressor: Any, data: bytes, limit: int) -> bytes:
    """Run one of the standard library's decompressors up to the limit."""
    result: bytes = decompressor.decompress(data, limit + 1)
    if len(result) > limit:
        raise _too_large(limit)
    if not decompressor.eof:
        raise DecodeError("the compressed body is cut off")
    return result


def _unpack_zlib(data: bytes, limit: int) -> bytes:
    # 32 lets it recognise gzip's framing as well, which senders in other languages take for the same thing.
    return _unfold(zlib.decompressobj(zlib.MAX_WBITS | 32), data, limit)


def _unpack_bz2(data: bytes, limit: int) -> bytes:
    return _unfold(bz2.BZ2Decompressor(), data, limit)


def _unpack_lzma(data: bytes, limit: int) -> bytes:
    return _unfold(lzma.LZMADecompressor(memlimit=_LZMA_MEMORY), data, limit)


def _missing(name: str, extra: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"the compression {name} needs a library: pip install tq-core[{extra}]")


def _pack_zstd(data: bytes) -> bytes:
    try:
        import zstandard
    except ImportError as error:
        raise _missing("zstd", "zstd") from error
    packed: bytes = zstandard.ZstdCompressor().compress(data)
    return packed


def _unpack_zstd(data: bytes, limit: int) -> bytes:
    try:
        import zstandard
    except ImportError as error:
        raise _missing("zstd", "zstd") from error
    promised = zstandard.frame_content_size(data)  # -1 where the frame does not say
    if promised > limit:
        raise _too_large(limit)
    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(BytesIO(data))
    parts: list[bytes] = []
    size = 0
    while part := reader.read(_CHUNK):
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    if promised > size:
        raise DecodeError("the compressed body is cut off")
    return b"".join(parts)


def _pack_brotli(data: bytes) -> bytes:
    try:
        import brotli
    except ImportError as error:
        raise _missing("brotli", "brotli") from error
    packed: bytes = brotli.compress(data)
    return packed


def _unpack_brotli(data: bytes, limit: int) -> bytes:
    try:
        import brotli
    except ImportError as error:
        raise _missing("brotli", "brotli") from error
    decompressor = brotli.Decompressor()
    parts: list[bytes] = []
    size = 0
    bounded = hasattr(decompressor, "can_accept_more_data")  # from 1.2 on the output can be limited
    step = _CHUNK if bounded else _BROTLI_SIP
    start = 0
    while not decompressor.is_finished():
        sip = b""  # which asks for what it still holds
        if start < len(data) and (not bounded or decompressor.can_accept_more_data()):
            sip = data[start : start + step]
            start += step
        part: bytes = decompressor.process(sip, output_buffer_limit=_CHUNK) if bounded else decompressor.process(sip)
        if not part and not sip:
            break
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    if not decompressor.is_finished():
        raise DecodeError("the compressed body is cut off")
    return b"".join(parts)


_ALL = (
    Codec("application/x-gzip", ("gzip", "zlib"), zlib.compress, _unpack_zlib),
    Codec("application/x-bz2", ("bzip2", "bzip", "bz2"), bz2.compress, _unpack_bz2),
    Codec("application/x-lzma", ("lzma", "xz"), lzma.compress, _unpack_lzma),
    Codec("application/zstd", ("zstd", "zstandard"), _pack_zstd, _unpack_zstd),
    Codec("application/x-brotli", ("brotli",), _pack_brotli, _unpack_brotli),
)
_CODECS = {name: codec for codec in _ALL for name in (codec.content_type, *codec.aliases)}
