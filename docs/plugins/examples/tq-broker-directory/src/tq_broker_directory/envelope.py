"""A message as the content of a file: a line of JSON, and the body as it is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from tq_core.message import Delivery, Message

from tq_broker_directory.layout import ORPHAN, Name, text_of


def written(message: Message) -> bytes:
    """Return a message as bytes."""
    fields = asdict(message)
    body = fields.pop("body")
    return json.dumps(fields).encode() + b"\n" + bytes(body)


def read(data: bytes) -> Message:
    """Return the message that :func:`written` wrote.

    Raises:
        ValueError: the data is no message.
        TypeError: the same.
    """
    head, _, body = data.partition(b"\n")
    return Message(**json.loads(head), body=body)


def delivery(file: Path, tag: str | None = None) -> Delivery:
    """Return a file as a delivery; one that cannot be read has a ``defect``.

    Raises:
        FileNotFoundError: somebody else has moved the file.
    """
    name, queue, data = Name.of(file), text_of(file.parent), file.read_bytes()
    message, defect, raw = None, None, b""
    try:
        message = read(data)
    except (TypeError, ValueError) as error:
        defect, raw = f"the file {file.name} is no message: {error}", data
    return Delivery(
        tag=tag,
        queue=queue,
        message=message,
        defect=defect,
        raw=raw,
        delivery_count=name.deliveries,
        redelivered=name.deliveries > 1,
        orphaned=name.mark == ORPHAN,
    )
