"""Servers of a test's own, for tests that kill, freeze and restart them.

Each listens on a loopback port of its own and keeps its data in a temporary directory until the ``with`` block
ends. A server refuses to run as root; then it runs as the user its Debian package made.

    with private_postgresql() as server:
        use(server.url)
        server.kill()
        server.start()
"""

from __future__ import annotations

from tests.private_servers.databases import PrivateMariaDB, PrivatePostgreSQL, private_mariadb, private_postgresql
from tests.private_servers.rabbitmq import PrivateRabbitMQ, private_rabbitmq, rabbitmqctl
from tests.private_servers.redis import PrivateRedis, private_redis
from tests.private_servers.redis_cluster import PrivateRedisCluster, private_redis_cluster
from tests.private_servers.redis_sentinel import PrivateRedisSentinel, private_redis_sentinel
from tests.private_servers.server import PrivateServer

__all__ = [
    "PrivateMariaDB",
    "PrivatePostgreSQL",
    "PrivateRabbitMQ",
    "PrivateRedis",
    "PrivateRedisCluster",
    "PrivateRedisSentinel",
    "PrivateServer",
    "private_mariadb",
    "private_postgresql",
    "private_rabbitmq",
    "private_redis",
    "private_redis_cluster",
    "private_redis_sentinel",
    "rabbitmqctl",
]
