"""Messages put into a queue and taken out of it by hand, with no task queue in between."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kombu import Connection
from redis import Redis

from tests.interop.places import Place


@dataclass(frozen=True)
class Letter:
    """A message.

    Attributes:
        body: as it travels.
        headers: of the task.
        content_type, content_encoding: of the body.
    """

    body: bytes
    headers: Mapping[str, Any]
    content_type: str = "application/json"
    content_encoding: str = "utf-8"


def put(place: Place, queue: str, letter: Letter) -> None:
    """Put a message with nothing but what is in the letter into a queue that exists."""
    if not place.broker.startswith("redis"):
        with Connection(place.broker) as connection:
            connection.Producer().publish(
                letter.body,
                exchange="",
                routing_key=queue,
                headers=dict(letter.headers),
                content_type=letter.content_type,
                content_encoding=letter.content_encoding,
            )
        return
    envelope = {
        "body": base64.b64encode(letter.body).decode(),
        "content-type": letter.content_type,
        "content-encoding": letter.content_encoding,
        "headers": letter.headers,
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": queue},
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    with Redis.from_url(place.broker) as client:
        client.lpush(queue, json.dumps(envelope))


def take(place: Place, queue: str) -> Letter | None:
    """Take the next message out of a queue that exists, None where there is none."""
    if not place.broker.startswith("redis"):
        with Connection(place.broker) as connection:
            message = connection.default_channel.basic_get(queue, no_ack=True)
            if message is None:
                return None
            properties = message.properties
            return Letter(
                message.body,
                properties["application_headers"],
                properties["content_type"],
                properties["content_encoding"],
            )
    with Redis.from_url(place.broker) as client:
        raw = client.rpop(queue)
    if raw is None:
        return None
    envelope = json.loads(raw)
    return Letter(
        base64.b64decode(envelope["body"]), envelope["headers"], envelope["content-type"], envelope["content-encoding"]
    )
