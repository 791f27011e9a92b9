"""Which distribution brings which name: what to install when a name is asked for that nothing offers."""

from __future__ import annotations

from collections.abc import Mapping

_REDIS = "redis rediss valkey valkeys sentinel redis+socket"
_SQL = "db database sqlalchemy sqla sqlite postgresql postgres mysql mariadb"
_KOMBU = (
    "sqs azureservicebus azurestoragequeues gcpubsub confluentkafka kafka zookeeper zk consul etcd"
    " slmq qpid pyro filesystem"
)

#: Kind → distribution → the names it brings.
_BRINGS: Mapping[str, Mapping[str, str]] = {
    "brokers": {
        "tq-redis": _REDIS,
        "tq-amqp": "amqp amqps pyamqp librabbitmq",
        "tq-sqlalchemy": _SQL,
        "tq-mongodb": "mongodb mongodb+srv",
        "tq-django": "django",
        "tq-beanstalk": "beanstalk",
        "tq-kombu": _KOMBU,
    },
    "backends": {
        "tq-redis": _REDIS,
        "tq-amqp": "rpc amqp amqps pyamqp",
        "tq-sqlalchemy": _SQL,
        "tq-memcached": "cache cache+memcached cache+pymemcache memcached memcache",
        "tq-mongodb": "mongodb mongodb+srv",
        "tq-django": "django-db django-cache",
        "tq-couchdb": "couchdb",
    },
    "pools": {"tq-gevent": "gevent eventlet"},
    "schedule_stores": {"tq-redis": _REDIS, "tq-django": "django", "tq-sqlalchemy": _SQL},
}

#: Kind → name → distribution.
KNOWN: Mapping[str, Mapping[str, str]] = {
    kind: {name: distribution for distribution, names in brings.items() for name in names.split()}
    for kind, brings in _BRINGS.items()
}
