"""The way around tq into a RabbitMQ: messages whose properties are written by hand."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import amqp

from tests.faults.raw_queue import BODY, Parts, RawQueue
from tests.malformed_properties import BAD, ODD, parts_of, short, table, value_of, written

#: What :meth:`RawQueue.put` calls its messages, wherever it may stand.
_NAME = re.compile(rb"(?:bad|odd)-\d+")
#: Where copies of all dead letters are gathered.
_COPIES = "copies of dead letters"


class _Handmade(amqp.Message):
    """A message whose properties are bytes."""

    def __init__(self, body: bytes, properties: bytes) -> None:
        super().__init__(body)
        self._handmade = properties

    def _serialize_properties(self) -> bytes:
        return self._handmade


class RawMessages(RawQueue):
    """Messages published by py-amqp; a part named ``properties`` writes them for an id.

    Args:
        url: of the virtual host, where tq has been at work.
    """

    bad: ClassVar[Mapping[str, Parts]] = BAD
    odd: ClassVar[Mapping[str, Parts]] = ODD

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._names: dict[bytes, str] = {}
        self._reasons: dict[str, str] = {}
        self._channel = self._open()
        self._channel.exchange_declare("tq.dead", "topic", durable=True, auto_delete=False)
        self._channel.queue_declare(_COPIES, durable=True, auto_delete=False, arguments={"x-expires": 600_000})
        self._channel.queue_bind(_COPIES, "tq.dead", "#")

    def _open(self) -> Any:
        url = self._url
        self._connection = amqp.Connection(
            f"{url.hostname}:{url.port}",
            url.username or "guest",
            url.password or "guest",
            virtual_host=unquote(url.path[1:]) or "/",
            connect_timeout=10,
        )
        self._connection.connect()
        channel = self._connection.channel()
        channel.confirm_select()
        return channel

    def put(self, task_id: str, parts: Parts) -> bool:
        body = parts.get("body", BODY)
        try:
            properties = parts["properties"](task_id) if "properties" in parts else _properties(task_id, parts)
        except struct.error:  # a number that AMQP has no room for
            return False
        try:
            self._channel.basic_publish_confirm(_Handmade(body, properties), "", "celery", timeout=30)
        except (amqp.exceptions.AMQPError, OSError):
            with suppress(amqp.exceptions.AMQPError, OSError):
                self._connection.close()
            self._channel = self._open()
            return False
        if task_id.encode() not in properties:
            self._names[_digest(body)] = task_id
        return True

    def buried(self) -> dict[str, str]:
        while (letter := self._channel.basic_get(_COPIES, no_ack=True)) is not None:
            self._reasons[self._name(letter)] = letter.headers.get("x-tq-reason") or ""
        return dict(self._reasons)

    def _name(self, letter: Any) -> str:
        """Recognize a letter by its correlation id, by the id among its headers, or by what it carries."""
        headers = letter.headers
        body = letter.body if isinstance(letter.body, bytes) else letter.body.encode("utf-8", "surrogatepass")
        places = [letter.properties.get("correlation_id"), headers.get("id")]
        if "x-tq-defect" in headers:
            places.append(body[:1000])
        for place in places:
            raw = place.encode("utf-8", "surrogatepass") if isinstance(place, str) else place
            if isinstance(raw, bytes) and (found := _NAME.search(raw)):
                return found[0].decode()
        return self._names.get(_digest(body), f"letter {len(self._reasons)}")

    def close(self) -> None:
        self._connection.close()


def _properties(task_id: str, parts: Parts) -> bytes:
    changes = {}
    if "headers" in parts:
        changes["headers"] = table({name: value_of(value) for name, value in parts["headers"].items()})
    if "content_type" in parts:
        changes["content_type"] = short(parts["content_type"])
    return written({**parts_of(task_id), **changes})


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
