"""Locks, counters, sets, token buckets and values: one script each, by the server's clock.

Every key expires, or is a value that its owner deletes. In a Redis Cluster, hash tags keep together what one step
changes: a lock and its newest token, and all values with their list.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tq_core.contracts.coordination import Coordination
from tq_redis.link import Link
from tq_redis.script import script
from tq_redis.slots import tagged

ACQUIRE = script("coordination_acquire")
RENEW = script("coordination_renew")
RELEASE = script("coordination_release")
COUNT = script("coordination_count")
ADD = script("coordination_add")
TAKE = script("coordination_take")
PUT = script("coordination_values", "coordination_put")
DELETE = script("coordination_values", "coordination_delete")

#: Milliseconds that the newest fencing token is remembered beyond the lock; later the clock alone is larger.
TOKEN_REMEMBERED = 86_400_000

#: Values read by one command.
VALUES_AT_ONCE = 500


class RedisCoordination(Coordination):
    """Coordination in Redis.

    Args:
        link: to the server.
        prefix: stands before every key.
    """

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix
        self._cluster = link.address.cluster
        self._values = self._name(tagged("tq:values") if self._cluster else "tq:values:")

    def _name(self, text: str) -> bytes:
        return (self._prefix + text).encode("utf-8", "surrogatepass")

    def _key(self, kind: str, key: str) -> bytes:
        return self._name(f"tq:{kind}:{key}")

    def _lock(self, key: str) -> bytes:
        return self._name(tagged(f"tq:lock:{key}")) if self._cluster else self._key("lock", key)

    def _token(self, key: str) -> bytes:
        """Key of the newest fencing token: of all locks, or in a cluster of one."""
        return self._lock(key) + b".token" if self._cluster else self._key("lock-token", "")

    def _value(self, key: str) -> bytes:
        return self._name(tagged("tq:values") + ":" + key) if self._cluster else self._key("value", key)

    def acquire(self, key: str, owner: str, ttl: float) -> int | None:
        lasts = _milliseconds(ttl)
        token = self._link.run(ACQUIRE, [self._lock(key), self._token(key)], [owner, lasts, lasts + TOKEN_REMEMBERED])
        return None if token is None else int(token)

    def renew(self, key: str, owner: str, ttl: float) -> bool:
        return bool(self._link.run(RENEW, [self._lock(key)], [owner, _milliseconds(ttl)]))

    def release(self, key: str, owner: str) -> bool:
        return bool(self._link.run(RELEASE, [self._lock(key)], [owner]))

    def count(self, key: str, by: int, ttl: float) -> int:
        return int(self._link.run(COUNT, [self._key("count", key)], [by, _milliseconds(ttl)], again=False))

    def add(self, key: str, member: str, ttl: float) -> tuple[bool, int]:
        new, size = self._link.run(ADD, [self._key("set", key)], [member, _milliseconds(ttl)], again=False)
        return bool(new), int(size)

    def take(self, key: str, rate: float, burst: float, tokens: float = 1.0) -> float:
        asked = [repr(float(number)) for number in (rate, burst, tokens)]
        return float(self._link.run(TAKE, [self._key("bucket", key)], asked, again=False))

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        name = key.encode("utf-8", "surrogatepass")
        lasts = "inf" if ttl is None else _milliseconds(ttl)
        self._link.run(PUT, [self._value(key), self._values], [name, value, lasts])

    def get(self, key: str) -> bytes | None:
        value: bytes | None = self._link.call("GET", self._value(key))
        return value

    def delete(self, key: str) -> bool:
        name = key.encode("utf-8", "surrogatepass")
        return bool(self._link.run(DELETE, [self._value(key), self._values], [name], again=False))

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        names = (name.decode("utf-8", "surrogatepass") for name in self._link.call("ZRANGE", self._values, 0, -1))
        keys = sorted(name for name in names if name.startswith(prefix))
        for start in range(0, len(keys), VALUES_AT_ONCE):
            chunk = keys[start : start + VALUES_AT_ONCE]
            values = self._link.call("MGET", *(self._value(key) for key in chunk))
            # One that has expired is still listed until the next put.
            yield from ((key, value) for key, value in zip(chunk, values, strict=True) if value is not None)


def _milliseconds(ttl: float) -> int:
    return max(1, math.ceil(ttl * 1000))
