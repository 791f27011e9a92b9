"""What the plugin promises of RabbitMQ; see :mod:`tq_core.contracts.capability`. Imports nothing heavy."""

from __future__ import annotations

from tq_core.contracts.backend import BackendCapabilities
from tq_core.contracts.broker import BrokerCapabilities

BROKER_CAPABILITIES = BrokerCapabilities(
    due_time=True,
    priority_order="high_first",
    orphans=True,
    delivery_count=True,
    dead_letters=True,
    broadcast=True,
    control=True,
    peek=True,
    depth=True,
    purge=True,
    exchanges=True,
)

#: Of ``rpc``: results go to the process that made the call.
RPC_CAPABILITIES = BackendCapabilities(push=True, expiry=True, shared=False, subscribe=True, replies=True)
#: Of ``amqp``: each task has a queue, from which its result is read once.
TASK_QUEUE_CAPABILITIES = BackendCapabilities(push=True, expiry=True, subscribe=True)
