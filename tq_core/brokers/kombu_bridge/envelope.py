"""A message as kombu's transports carry it, and back.

Written through kombu's own producer, so that it is kombu's format by construction; read here, because kombu
decompresses a body before anybody could look at its size.
"""

from __future__ import annotations

import binascii
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kombu.message import Message as BaseMessage
from kombu.transport.virtual import Message as VirtualMessage

from tq_core.errors import BrokerError
from tq_core.message import Message

#: Header of a message that was given back: how many deliveries it has behind it.
DELIVERIES = "x-tq-deliveries"
#: Header of a buried message: why, when, and where it came from.
BURIED = "x-tq-buried"

#: Properties that have fields of their own in a message, or that are the transport's business.
_OWN = frozenset(
    {
        "application_headers",
        "body_encoding",
        "content_encoding",
        "content_type",
        "correlation_id",
        "delivery_info",
        "delivery_mode",
        "delivery_tag",
        "expiration",
        "message_attributes",
        "priority",
        "reply_to",
    }
)


class Unreadable(BrokerError):
    """What was received is no envelope.

    Attributes:
        raw: what it is.
    """

    def __init__(self, why: str, raw: bytes) -> None:
        super().__init__(why)
        self.raw = raw


class Taken(VirtualMessage):
    """A received message of a virtual transport, left as it came."""

    def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
        self._raw = payload
        properties = payload.get("properties") if isinstance(payload, dict) else None
        properties = properties if isinstance(properties, dict) else {}
        tag = properties.get("delivery_tag")
        info = properties.get("delivery_info")
        BaseMessage.__init__(
            self,
            body=None,
            channel=channel,
            delivery_tag=tag if isinstance(tag, str) and tag else str(uuid.uuid4()),
            properties=properties,
            delivery_info=info if isinstance(info, dict) else {},
            **kwargs,
        )
        headers = payload.get("headers") if isinstance(payload, dict) else None
        self.headers = headers if isinstance(headers, dict) else {}

    def serializable(self) -> Any:
        """Return what was received; kombu gives it back at the end of a process that did not."""
        return dict(self._raw) if isinstance(self._raw, dict) else {"body": "", "properties": {}, "headers": {}}


@dataclass(frozen=True, slots=True)
class Received:
    """What an envelope says.

    Attributes:
        message: the message, without the headers that are the bridge's own.
        behind: deliveries before this one, as far as they are known.
        redelivered: somebody may have run it.
    """

    message: Message
    behind: int
    redelivered: bool


def read(received: Any, queue: str) -> Received:
    """Read what ``basic_get`` returned.

    Args:
        received: kombu's message, or py-amqp's.
        queue: where it was.

    Raises:
        Unreadable: it is no envelope; the text says why, and never repeats the body.
    """
    payload = getattr(received, "_raw", None)
    if payload is None:
        return _read_amqp(received, queue)
    try:
        return _read_payload(payload, queue)
    except (ValueError, TypeError, KeyError) as error:
        raise Unreadable(str(error), _raw_of(payload)) from None


def _raw_of(payload: Any) -> bytes:
    try:
        return json.dumps(payload, default=repr).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, RecursionError):
        return repr(payload).encode("utf-8", "replace")


def _read_payload(payload: Any, queue: str) -> Received:
    if not isinstance(payload, dict):
        raise ValueError("the envelope is not a JSON object")
    properties = payload.get("properties")
    if not isinstance(properties, dict):
        raise ValueError("the envelope has no properties")
    headers = payload.get("headers")
    if headers is not None and not isinstance(headers, dict):
        raise ValueError(f"headers of the envelope is {type(headers).__name__}, not dict")
    info = properties.get("delivery_info")
    info = info if isinstance(info, dict) else {}
    body = _body_of(payload.get("body"), properties.get("body_encoding"))
    content_type, encoding = payload.get("content-type"), payload.get("content-encoding")
    message = _message_of(body, headers or {}, properties, content_type, encoding, queue)
    again = bool(payload.get("redelivered") or info.get("redelivered") or (headers or {}).get("redelivered") is True)
    return _counted(message, again, _receipts(info))


def _read_amqp(received: Any, queue: str) -> Received:
    properties = received.properties
    body = received.body.encode() if isinstance(received.body, str) else bytes(received.body)
    headers = properties.get("application_headers") or {}
    try:
        message = _message_of(
            body, headers, properties, properties.get("content_type"), properties.get("content_encoding"), queue
        )
    except (ValueError, TypeError) as error:
        raise Unreadable(str(error), body) from None
    return _counted(message, bool(received.delivery_info.get("redelivered")), 1)


def _receipts(info: Mapping[str, Any]) -> int:
    """Return how often the server has handed this very message out, where it says so (SQS)."""
    attributes = info.get("sqs_message")
    attributes = attributes.get("Attributes") if isinstance(attributes, dict) else None
    if not isinstance(attributes, dict):
        return 1
    try:
        return max(1, int(attributes.get("ApproximateReceiveCount", 1)))
    except (TypeError, ValueError):
        return 1


def _counted(message: Message, redelivered: bool, receipts: int) -> Received:
    headers = dict(message.headers)
    noted = headers.pop(DELIVERIES, 0)
    behind = noted if isinstance(noted, int) and not isinstance(noted, bool) and noted > 0 else 0
    behind += receipts - 1
    if redelivered and not behind:
        behind = 1
    return Received(replace(message, headers=headers), behind, redelivered or behind > 0)


def _message_of(
    body: bytes,
    headers: Mapping[str, Any],
    properties: Mapping[str, Any],
    content_type: Any,
    content_encoding: Any,
    queue: str,
) -> Message:
    mode = _number(properties, "delivery_mode")
    return Message(
        id=_text(properties.get("correlation_id")) or _text(headers.get("id")),
        headers=dict(headers),
        body=body,
        content_type=_text(content_type) or "application/data",
        content_encoding=_text(content_encoding) or "utf-8",
        queue=queue,
        exchange="",
        routing_key=queue,
        priority=_number(properties, "priority"),
        expiration=_seconds(properties.get("expiration")),
        reply_to=_text(properties.get("reply_to")),
        delivery_mode=2 if mode is None else mode,
        properties={name: value for name, value in properties.items() if name not in _OWN},
    )


def _body_of(body: Any, encoding: Any) -> bytes:
    if body is None:
        raise ValueError("the envelope has no body")
    if isinstance(body, str) and isinstance(encoding, str) and encoding.lower() == "base64":
        try:
            return binascii.a2b_base64(body)
        except ValueError as error:
            raise ValueError(f"the body is not base64: {error}") from None
    if isinstance(encoding, str) and encoding.lower() not in {"base64", "utf-8", ""}:
        raise ValueError("the body has an unknown encoding")
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise ValueError(f"the body is {type(body).__name__}, not text")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(mapping: Mapping[str, Any], name: str) -> int | None:
    value = mapping.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} of the envelope is {type(value).__name__}, not int")
    return value


def _seconds(expiration: Any) -> float | None:
    try:
        return None if expiration is None else float(expiration) / 1000
    except (TypeError, ValueError):
        return None
