"""The way around tq into a Redis: envelopes put into kombu's lists by plain commands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from redis import Redis

from tests.faults.raw_queue import BODY, Parts, RawQueue
from tests.malformed_envelopes import BAD, ODD, parts_of, written


def client_of(url: str) -> tuple[Redis, str]:
    """Return a client of the Redis that a URL of tq's names, and the prefix of the keys."""
    parts = urlsplit(url)
    (prefix,) = parse_qs(parts.query).get("global_keyprefix", [""])
    return Redis.from_url(parts._replace(query="").geturl()), prefix


class RawEnvelopes(RawQueue):
    """Elements of the queue's list; a part named ``raw`` writes the whole element for an id.

    Args:
        url: of the database, with the prefix in its query.
    """

    bad: ClassVar[Mapping[str, Parts]] = {kind: {"raw": write} for kind, write in BAD.items()}
    odd: ClassVar[Mapping[str, Parts]] = {kind: {"raw": write} for kind, write in ODD.items()}

    def __init__(self, url: str) -> None:
        self._redis, self._prefix = client_of(url)
        self._names: dict[bytes, str] = {}
        self._read: dict[bytes, tuple[str, str]] = {}

    def put(self, task_id: str, parts: Parts) -> bool:
        raw = parts["raw"](task_id) if "raw" in parts else _element(task_id, parts)
        self.expect(task_id, raw)
        self._redis.lpush(f"{self._prefix}celery", raw)
        return True

    def expect(self, name: str, raw: bytes) -> None:
        """Let :meth:`buried` know an element by this name, however it gets into the queue."""
        self._names[_digest(raw)] = name

    def buried(self) -> dict[str, str]:
        letters = f"{self._prefix}tq:dead:letters"
        numbers: Any = self._redis.hkeys(letters)
        # One by one, and each once: among them are some of many megabytes.
        for number in set(numbers).difference(self._read):
            letter: Any = self._redis.hget(letters, number)
            head, _, raw = letter.partition(b"\n")
            self._read[number] = (self._names.get(_digest(raw), f"letter {number.decode()}"), json.loads(head)[2])
        return dict(self._read.values())

    def close(self) -> None:
        self._redis.close()


def _element(task_id: str, parts: Parts) -> bytes:
    envelope = parts_of(task_id, parts.get("body", BODY))
    named = {"headers": "headers", "content_type": "content-type"}
    return written({**envelope, **{name: parts[part] for part, name in named.items() if part in parts}})


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()
