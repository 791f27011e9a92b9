"""Station 4 tells who listens: the signals of a call, before and after the broker has it.

Nothing here is reached by a call that nobody listens to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tq_core import signals

if TYPE_CHECKING:
    from tq_core.message import Message
    from tq_core.routing.router import Destination
    from tq_core.serializers.registry import SerializerRegistry

#: Properties that are fields of a message, and what they are called there.
_FIELDS = {
    "correlation_id": "id",
    "reply_to": "reply_to",
    "priority": "priority",
    "expiration": "expiration",
    "delivery_mode": "delivery_mode",
}


def announce_call(
    name: str,
    body: Any,
    headers: dict[str, Any],
    properties: dict[str, Any],
    destinations: Sequence[Destination],
    declare: Sequence[Any],
    retry_policy: Mapping[str, Any],
) -> None:
    """Send ``before_task_publish``; its receivers may change body, headers, properties and policy in place.

    Args:
        name: the task's.
        body: what is to be serialized.
        headers: of the message.
        properties: of the message, by their AMQP names.
        destinations: where it goes; the first one's exchange and routing key are told.
        declare: the queues it goes to.
        retry_policy: of publishing.
    """
    first = destinations[0]
    signals.before_task_publish.send(
        name,
        body=body,
        exchange=first.exchange,
        routing_key=first.routing_key,
        declare=list(declare),
        headers=headers,
        properties=properties,
        retry_policy=retry_policy,
    )


def with_properties(message: Message, properties: Mapping[str, Any]) -> Message:
    """Return a message with the properties that receivers have left."""
    known = {field: properties[name] for name, field in _FIELDS.items() if name in properties}
    rest = {name: value for name, value in properties.items() if name not in _FIELDS}
    return replace(message, **known, properties={**message.properties, **rest})


def announce_sent(messages: Sequence[Message], serializers: SerializerRegistry) -> None:
    """Send ``after_task_publish`` and ``task_sent``, once for each call however many queues it was copied to."""
    told: set[tuple[str, int]] = set()
    for message in messages:
        call = (message.id, id(message.headers))
        if call in told:
            continue
        told.add(call)
        body = _body(message, serializers)
        of_first_protocol = isinstance(body, dict)
        name = body.get("task") if of_first_protocol else message.headers.get("task")
        signals.after_task_publish.send(
            name, body=body, headers=message.headers, exchange=message.exchange, routing_key=message.routing_key
        )
        if not signals.task_sent.receivers:
            continue
        fields = body if of_first_protocol else {**message.headers, "args": body[0], "kwargs": body[1]}
        signals.task_sent.send(
            name,
            task_id=message.id,
            task=name,
            args=fields["args"],
            kwargs=fields["kwargs"],
            eta=fields.get("eta"),
            taskset=fields.get("group"),
        )


def _body(message: Message, serializers: SerializerRegistry) -> Any:
    """Return the body of one of our own messages as it was before it was written."""
    data = message.body
    compression = message.headers.get("compression")
    if compression:
        data = serializers.decompress(data, compression, _ANY_SIZE)
    return serializers.get(message.content_type).loads(data)


#: What this process has just written itself needs no limit.
_ANY_SIZE = 1 << 62
