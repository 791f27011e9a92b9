"""The guard at the door: a message from the broker becomes a :class:`TaskMessage`, or one of our errors.

Whatever stands in a queue was put there by strangers. Nothing leaves :func:`read` but a well-formed message
or an error of :mod:`tq_core.errors`, and neither time nor memory grows beyond what the limits allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tq_core.errors import DecodeError, InvalidMessage, InvalidTaskError, MessageTooLarge, TQError
from tq_core.message import Message
from tq_core.protocol import task_v1, task_v2
from tq_core.protocol.task import TaskMessage


class Codecs(Protocol):
    """What reading a body takes; :class:`tq_core.serializers.registry.SerializerRegistry` is one."""

    def decode(self, data: bytes, content_type: str, accept: frozenset[str] | None) -> Any:
        """Read a body, raising ``ContentDisallowed`` or ``DecodeError``."""

    def decompress(self, data: bytes, content_type: str, limit: int) -> bytes:
        """Undo compression, raising ``DecodeError`` or ``MessageTooLarge``."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a message may be.

    Attributes:
        size: bytes of the body as it came.
        unfolded: bytes of the body once decompressed.
        depth: containers inside each other, in body and headers.
        headers: number of headers.
    """

    size: int = 32 << 20
    unfolded: int = 64 << 20
    depth: int = 512
    headers: int = 1000


DEFAULT_LIMITS = Limits()
_CONTAINERS = (list, dict, tuple, set, frozenset)
#: Types of nearly all values that are no containers; telling them by their type is the quickest.
_LEAVES = frozenset({str, int, float, bool, type(None), bytes})
#: The one container that nearly every message has among its headers.
_NO_LIMITS = [None, None]


def read(
    message: Message, codecs: Codecs, accept: frozenset[str] | None, limits: Limits = DEFAULT_LIMITS
) -> TaskMessage:
    """Read a task message of either protocol.

    Args:
        message: as a broker delivered it.
        codecs: the serializer registry.
        accept: content types that may be read; None for every safe one.
        limits: see :class:`Limits`.

    Raises:
        MessageTooLarge: a limit on size is exceeded.
        ContentDisallowed: the content type is not accepted.
        DecodeError: the body cannot be decompressed or decoded.
        InvalidMessage: it is not a task message.
        InvalidTaskError: it is one, with a missing or malformed field; an ``InvalidMessage``.
    """
    try:
        return _read(message, codecs, accept, limits)
    except TQError:
        raise
    except RecursionError:
        raise DecodeError("the message is nested too deeply to be read") from None
    except Exception as error:  # the last line of defence: strangers' data must not end the worker
        raise InvalidMessage(
            f"the message made its reader fail with {type(error).__name__}: {error!s:.200}; please report it"
        ) from error


def _read(  # noqa: PLR0912  # one straight line of checks: this is done for every message
    message: Message, codecs: Codecs, accept: frozenset[str] | None, limits: Limits
) -> TaskMessage:
    head: Any = message.headers
    if type(head) is not dict:
        if head is None:
            head = {}
        elif not isinstance(head, Mapping):
            raise InvalidMessage(f"the message's headers are {type(head).__name__}, expected a map")
    if len(head) > limits.headers:
        raise MessageTooLarge(f"the message has {len(head)} headers, more than the limit of {limits.headers}")
    data: Any = message.body
    if type(data) is not bytes:
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise InvalidMessage(f"the message's body is {type(data).__name__}, expected bytes")
        data = bytes(data)
    if len(data) > limits.size:
        raise MessageTooLarge(f"the body has {len(data)} bytes, more than the limit of {limits.size}")
    content_type: Any = message.content_type
    if not isinstance(content_type, str):
        raise InvalidMessage(f"the message's content_type is {type(content_type).__name__}, expected text")
    compression = head.get("compression")
    if compression:
        if not isinstance(compression, str):
            raise InvalidMessage(f"the header compression is {type(compression).__name__}, expected text")
        data = codecs.decompress(data, compression, limits.unfolded)
    value = codecs.decode(data, content_type, accept)
    # In a text format no value is deeper than the text has brackets, and few texts have many.
    if not content_type.endswith("json") or data.count(b"[") + data.count(b"{") > limits.depth:
        _check_depth(value, limits.depth, "body")
    for header in head.values():
        if header and (type(header) is list or type(header) is dict) and header != _NO_LIMITS:
            _check_depth(header, limits.depth, "headers")

    reply_to: Any = message.reply_to
    if type(reply_to) is not str:
        if reply_to:
            raise InvalidTaskError(f"reply_to is {type(reply_to).__name__}, expected text")
        reply_to = ""
    correlation_id: Any = message.id if type(message.id) is str else ""
    if "task" in head and not isinstance(value, dict):
        return task_v2.parse(head, value, reply_to=reply_to, correlation_id=correlation_id)
    return task_v1.parse(value, head, reply_to=reply_to, correlation_id=correlation_id)


def _check_depth(value: Any, limit: int, where: str) -> None:
    """Walk a value level by level, visiting a part shared by several containers once per level."""
    level = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(limit):
        if not level:
            return
        below: dict[int, Any] = {}
        for container in level:
            for item in container.values() if isinstance(container, dict) else container:
                if type(item) not in _LEAVES and item and isinstance(item, _CONTAINERS):
                    below[id(item)] = item
        level = list(below.values())
    if level:
        raise DecodeError(f"the message's {where} is nested deeper than the limit of {limit}")
