"""What coordination leaves in Redis, and what it stands on."""

from __future__ import annotations

from collections.abc import Callable

import redis

from tq_core.contracts.backend import Backend
from tq_core.testing.conformance.patience import until


def test_fencing_tokens_grow_even_when_the_server_forgot_them_all(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend]
) -> None:
    coordination = open_backend().coordination()
    first = coordination.acquire("lock", "me", 60)
    server.unlink(*server.scan_iter(prefix + "*"))
    second = coordination.acquire("lock", "you", 60)
    assert first is not None
    assert second is not None
    assert second > first


def test_every_key_expires_but_the_values_that_are_to_stay(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend]
) -> None:
    coordination = open_backend().coordination()
    coordination.acquire("k", "me", 60)
    coordination.count("k", 1, 60)
    coordination.add("k", "member", 60)
    coordination.take("k", 5, 10)
    coordination.put("short", b"", 60)
    assert len(list(server.scan_iter(prefix + "*"))) == 7
    assert all(server.pttl(key) > 0 for key in server.scan_iter(prefix + "*"))
    coordination.put("stays", b"")
    lasting = [key.decode() for key in server.scan_iter(prefix + "*") if server.pttl(key) < 0]
    assert sorted(lasting) == [prefix + "tq:value:stays", prefix + "tq:values:"]
    coordination.delete("stays")
    assert all(server.pttl(key) > 0 for key in server.scan_iter(prefix + "*"))
    coordination.delete("short")
    assert not list(server.scan_iter(prefix + "tq:value*"))


def test_values_that_expired_are_not_listed_for_ever(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend]
) -> None:
    coordination = open_backend().coordination()
    coordination.put("stays", b"1")
    for n in range(10):
        coordination.put(f"short{n}", b"", 0.05)
    until(lambda: coordination.get("short9") is None)
    assert [key for key, _ in coordination.scan("")] == ["stays"]
    coordination.put("stays", b"2")
    assert server.zrange(prefix + "tq:values:", 0, -1) == [b"stays"]
