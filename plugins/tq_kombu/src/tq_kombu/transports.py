"""What each of kombu's transports can do; docs/brokers-kombu.md shows this table.

Nothing here is taken from what a transport says of itself: a promise stands here when the bridge keeps it, and what was
tried is said by ``proof``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tq_core.brokers.kombu_bridge.traits import Traits
from tq_core.contracts.broker import BrokerCapabilities

_IMPLEMENTATIONS = "tq_core.brokers.kombu_bridge"

#: What follows from a message that is republished when it is given back.
_AT_THE_END = {
    "endings.requeue": "a message that is given back goes to the end of its queue",
    "endings.requeue-uncounted": "a message that is given back goes to the end of its queue",
    "endings.requeue-order": "a message that is given back goes to the end of its queue",
    "crash.requeued": "a message that is given back goes to the end of its queue",
    "model.sequences": "a message that is given back goes to the end of its queue",
}
#: What follows from a message that is nowhere but in the worker that received it.
_LOST_WHEN_KILLED = {
    "crash.received": "what a killed worker held is lost",
    "crash.begun": "what a killed worker held is lost",
}
#: What follows from names that are made to fit a service's rules.
_NAMES = {
    "payload.names": "names are changed to fit the service's rules",
    "payload.case": "names are changed to fit the service's rules",
}

#: Deliveries are counted in a header of the message when it is given back.
_COUNTED = BrokerCapabilities(delivery_count=True)
_COUNTED_PURGED = BrokerCapabilities(delivery_count=True, purge=True)
_ON_A_SERVER = BrokerCapabilities(purge=True)

_AMQP = Traits("amqp", "connection", _ON_A_SERVER, topology=True, poll=0.2, options={"confirm_publish": True})
_REDIS = Traits("redis", "timeout", _ON_A_SERVER, module="redis", requires="kombu[redis]", poll=0.2, breaks=_AT_THE_END)
_SQS = Traits(
    "sqs",
    "timeout",
    _COUNTED,
    module="boto3",
    requires="kombu[sqs]",
    # kombu's own defaults would keep a worker from its other duties: ten seconds a look, and minutes when a server is
    # silent. A call that is sent again by itself would double messages without a word.
    options={
        "wait_time_seconds": 0,
        "client-config": {"connect_timeout": 4, "read_timeout": 5, "retries": {"total_max_attempts": 1}},
    },
    breaks={
        **_AT_THE_END,
        **_NAMES,
        "payload.bodies": "SQS takes messages of up to 1 MiB, envelope included",
        "delivery.order": "SQS does not keep the order, except in queues named *.fifo",
    },
    proof="moto, by the conformance kit without its checks of load, of broken networks and of random sequences",
)
_SQLA = Traits(
    "sqla",
    "worker",
    _COUNTED_PURGED,
    module="sqlalchemy",
    requires="kombu[sqlalchemy]",
    breaks={**_AT_THE_END, **_LOST_WHEN_KILLED},
)
_KAFKA = Traits(
    "confluentkafka",
    "timeout",
    BrokerCapabilities(),
    module="confluent_kafka",
    requires="kombu[confluentkafka]",
    options={"wait_time_seconds": 1},
    breaks={
        **_AT_THE_END,
        **_NAMES,
        "crash.settling": "an acknowledgement covers all that was received before, which a crash then loses",
    },
)
_SLMQ = Traits(
    "slmq",
    "timeout",
    BrokerCapabilities(),
    module="softlayer_messaging",
    requires="kombu[slmq]",
    breaks={**_AT_THE_END, **_NAMES},
)

_ALL = (
    replace(_AMQP, alias="amqp"),
    replace(_AMQP, alias="amqps"),
    replace(_AMQP, alias="pyamqp"),
    replace(_AMQP, alias="librabbitmq", module="librabbitmq", requires="kombu[librabbitmq]", options={}),
    Traits(
        "qpid",
        "worker",
        BrokerCapabilities(),
        module="qpid",
        requires="kombu[qpid]",
        topology=True,
        breaks={**_AT_THE_END, **_LOST_WHEN_KILLED},
    ),
    Traits(
        "memory",
        "worker",
        BrokerCapabilities(delivery_count=True, purge=True, shared=False),
        implementation=f"{_IMPLEMENTATIONS}.memory:Transport",
        poll=0.02,
        breaks=_AT_THE_END,
        proof="the conformance kit",
    ),
    Traits(
        "filesystem",
        "worker",
        _COUNTED_PURGED,
        implementation=f"{_IMPLEMENTATIONS}.filesystem:Transport",
        poll=0.1,
        breaks={
            **_AT_THE_END,
            **_LOST_WHEN_KILLED,
            "payload.names[a.b:c/d]": "the name of a queue is part of a file name, so it has no slash",
        },
        proof="the conformance kit; workers, and Celery in both directions",
    ),
    replace(_REDIS, alias="redis"),
    replace(_REDIS, alias="rediss"),
    replace(_REDIS, alias="sentinel"),
    replace(_SQS, alias="sqs"),
    replace(_SQS, alias="SQS"),
    Traits(
        "mongodb",
        "worker",
        BrokerCapabilities(delivery_count=True, priority=True, purge=True),
        module="pymongo",
        requires="kombu[mongodb]",
        poll=0.2,
        # The driver's own would wait half a minute for a server, and for ever for its answer.
        query={"serverSelectionTimeoutMS": "4000", "connectTimeoutMS": "4000", "socketTimeoutMS": "5000"},
        breaks={**_AT_THE_END, **_LOST_WHEN_KILLED},
        proof="SecantusDB, by the conformance kit",
    ),
    replace(_SQLA, alias="sqla"),
    replace(_SQLA, alias="sqlalchemy"),
    Traits(
        "zookeeper",
        "worker",
        BrokerCapabilities(delivery_count=True, priority=True, purge=True),
        module="kazoo",
        requires="kombu[zookeeper]",
        breaks={
            **_AT_THE_END,
            **_LOST_WHEN_KILLED,
            "payload.bodies": "ZooKeeper takes nodes of up to 1 MiB, envelope included",
        },
    ),
    Traits(
        "consul",
        "worker",
        _COUNTED_PURGED,
        module="consul",
        requires="kombu[consul]",
        breaks={
            **_AT_THE_END,
            **_LOST_WHEN_KILLED,
            "payload.bodies": "Consul takes values of up to 512 KiB, envelope included",
        },
    ),
    Traits(
        "etcd",
        "worker",
        _COUNTED_PURGED,
        module="etcd",
        requires="python-etcd",
        breaks={
            **_AT_THE_END,
            **_LOST_WHEN_KILLED,
            "delivery.order": "the newest message comes first",
            "payload.bodies": "etcd takes values of up to 1.5 MiB, envelope included",
        },
    ),
    Traits(
        "pyro",
        "worker",
        _COUNTED_PURGED,
        module="Pyro4",
        requires="kombu[pyro]",
        breaks={**_AT_THE_END, **_LOST_WHEN_KILLED},
    ),
    Traits(
        "azurestoragequeues",
        "worker",
        _COUNTED_PURGED,
        module="azure.storage.queue",
        requires="kombu[azurestoragequeues]",
        breaks={
            **_AT_THE_END,
            **_LOST_WHEN_KILLED,
            **_NAMES,
            "payload.bodies": "Azure Storage Queues take messages of up to 64 KiB, envelope included",
            "payload.headers": "Azure Storage Queues take messages of up to 64 KiB, envelope included",
        },
    ),
    Traits(
        "azureservicebus",
        "timeout",
        BrokerCapabilities(),
        module="azure.servicebus",
        requires="kombu[azureservicebus]",
        options={"wait_time_seconds": 1},
        breaks={
            **_AT_THE_END,
            **_NAMES,
            "payload.bodies": "Azure Service Bus takes messages of up to 256 KiB, or 100 MiB in its premium tier",
        },
    ),
    Traits(
        "gcpubsub",
        "timeout",
        BrokerCapabilities(),
        module="google.cloud.pubsub_v1",
        requires="kombu[gcpubsub]",
        options={"wait_time_seconds": 1},
        breaks={
            **_AT_THE_END,
            **_NAMES,
            "delivery.order": "Google Pub/Sub does not keep the order",
        },
    ),
    Traits(
        "pgmq",
        "timeout",
        BrokerCapabilities(),
        module="pgmq",
        requires="kombu[pgmq]",
        poll=0.2,
        breaks={**_AT_THE_END, **_NAMES},
    ),
    replace(_KAFKA, alias="confluentkafka"),
    replace(_KAFKA, alias="kafka"),
    replace(_SLMQ, alias="slmq"),
    replace(_SLMQ, alias="SLMQ"),
)

#: kombu's name of a transport → what it can do.
TRANSPORTS: Mapping[str, Traits] = {traits.alias: traits for traits in _ALL}


def alias_of(url: str) -> str:
    """Return kombu's name of the transport that a URL asks for.

    Args:
        url: like ``sqs://…``, ``kombu+sqs://…`` or ``kombu+sqla+postgresql://…``; of several
            joined by ``;`` the first counts.
    """
    scheme = url.partition("://")[0].strip().removeprefix("kombu+")
    return scheme if scheme in TRANSPORTS else scheme.partition("+")[0]
