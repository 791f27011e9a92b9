"""The work of a task queue with bare redis-py: a list, a hash of what is claimed, results that are announced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from tests.benchmarks.ceilings.bare import MESSAGE, RESULT, Bare
from tests.benchmarks.systems.contract import Settings

#: Takes messages and notes who has them, in one step.
_CLAIM = """
local taken = redis.call('RPOP', KEYS[1], ARGV[1])
if not taken then return {} end
for i, message in ipairs(taken) do
    local tag = redis.call('INCR', KEYS[3])
    redis.call('HSET', KEYS[2], tag, message)
    taken[i] = tag
end
return taken
"""


class Driven(Bare):
    """One connection."""

    def __init__(self) -> None:
        self._redis = redis.Redis.from_url(Settings.of_environment().url)
        self._claim = self._redis.register_script(_CLAIM)

    def publish(self, count: int) -> None:
        self._redis.lpush("queue", *[MESSAGE] * count)

    def claim(self, limit: int) -> Sequence[Any]:
        claimed: Sequence[Any] = self._claim(keys=["queue", "claimed", "tag"], args=[limit])
        return claimed

    def finish(self, claimed: Sequence[Any]) -> None:
        with self._redis.pipeline(transaction=False) as pipeline:
            for tag in claimed:
                pipeline.setex(f"result-{tag}", 86400, RESULT)
                pipeline.publish(f"result-{tag}", RESULT)
            pipeline.hdel("claimed", *claimed)
            pipeline.execute()

    def fetch(self, claimed: Any) -> None:
        self._redis.get(f"result-{claimed}")

    def close(self) -> None:
        self._redis.close()
