"""What travels: a task message on its way out, and the same message as a worker received it.

Both are immutable; a change is a copy (:func:`dataclasses.replace`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """One task message, encoded and addressed, ready for any broker.

    ``headers`` and the serialized ``body`` have the form of Celery's protocol 2 (or 1, whose headers are
    empty); see :mod:`tq_core.protocol`. The remaining fields are what a broker needs to place the message.

    Attributes:
        id: task id; Celery's ``correlation_id`` property.
        headers: protocol headers, JSON-able.
        body: serialized and, if a ``compression`` header says so, compressed body.
        content_type: MIME type of the body before compression.
        content_encoding: ``utf-8`` or ``binary``.
        queue: name of the queue the message is for, or ``""`` when only the exchange knows.
        exchange: AMQP exchange, ``""`` for the default exchange.
        routing_key: AMQP routing key; equals ``queue`` on the default exchange.
        priority: 0 to 9 in the broker's own order (``BrokerCapabilities.priority_order``), None for unset.
        due: Unix time in seconds before which no worker may receive it, None for at once.
        expiration: seconds after which an AMQP broker may drop it, None for never.
        reply_to: where an ``rpc`` result goes.
        delivery_mode: 2 survives a restart of the broker, 1 need not.
        properties: further AMQP properties, rarely any.
    """

    id: str
    headers: Mapping[str, Any]
    body: bytes
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    queue: str = "celery"
    exchange: str = ""
    routing_key: str = ""
    priority: int | None = None
    due: float | None = None
    expiration: float | None = None
    reply_to: str = ""
    delivery_mode: int = 2
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message in the hands of a consumer, until the consumer settles it.

    Attributes:
        tag: names this very hand-over to the broker plugin that made it; carries its fencing token, so that a
            consumer whose lease was lost cannot settle what somebody else now holds. Opaque to the core.
        queue: the queue it came from.
        message: the message, or None when the envelope could not be read.
        defect: why the envelope could not be read; None when it could.
        raw: the envelope as the broker holds it, only where ``message`` is None; kept for the dead letter.
        delivery_count: how often the message has been handed to a consumer, this time included (1 = first).
        redelivered: True when an earlier consumer may have run it.
        orphaned: True when an earlier consumer had begun it (:meth:`Consumer.begin`) and died: it must not
            run again; the receiver records what became of it.
        copied: True when it was written anew to be given back or to wait, and the broker cannot tell whether what it
            stands for is gone: the task may have run from that.
    """

    tag: Any
    queue: str
    message: Message | None
    defect: str | None = None
    raw: bytes = b""
    delivery_count: int = 1
    redelivered: bool = False
    orphaned: bool = False
    copied: bool = False
