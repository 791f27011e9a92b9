"""The plugin's face: what it is, what it can do, and how it is opened.

Imports nothing heavy, so that listing plugins costs nothing; redis-py is imported when something is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tq_core.plugin.hookspecs import hookimpl
from tq_core.plugin.info import PluginInfo
from tq_redis.capabilities import BACKEND_CAPABILITIES, BROKER_CAPABILITIES

if TYPE_CHECKING:
    from tq_core.contracts.backend import Backend, BackendRequest
    from tq_core.contracts.broker import Broker, BrokerRequest

info = PluginInfo(
    name="tq-redis",
    summary="Queues, results and coordination in Redis, shared with Celery and kombu.",
    capabilities={"broker": BROKER_CAPABILITIES, "backend": BACKEND_CAPABILITIES},
)


@hookimpl
def tq_broker(request: BrokerRequest) -> Broker:
    """Open queues kept in the Redis that ``request.url`` names."""
    from tq_redis.broker import RedisBroker

    return RedisBroker.from_request(request)


@hookimpl
def tq_backend(request: BackendRequest) -> Backend:
    """Open results kept in the Redis that ``request.url`` names."""
    from tq_redis.backend import RedisBackend

    return RedisBackend.from_request(request)
