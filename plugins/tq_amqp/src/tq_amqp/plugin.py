"""The plugin's face: what it is, what it can do, and how it is opened.

Imports nothing heavy, so that listing plugins costs nothing; py-amqp is imported when something is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tq_amqp.capabilities import BROKER_CAPABILITIES, RPC_CAPABILITIES, TASK_QUEUE_CAPABILITIES
from tq_core.plugin.addressing import names_of
from tq_core.plugin.hookspecs import hookimpl
from tq_core.plugin.info import PluginInfo

if TYPE_CHECKING:
    from tq_core.contracts.backend import Backend, BackendRequest
    from tq_core.contracts.broker import Broker, BrokerRequest

info = PluginInfo(
    name="tq-amqp",
    summary="Queues and results in RabbitMQ, on Celery's topology.",
    capabilities={"broker": BROKER_CAPABILITIES, "backend:rpc": RPC_CAPABILITIES, "backend": TASK_QUEUE_CAPABILITIES},
)


@hookimpl
def tq_broker(request: BrokerRequest) -> Broker:
    """Open queues kept in the RabbitMQ that ``request.url`` names."""
    from tq_amqp.broker import AMQPBroker

    return AMQPBroker.from_request(request)


@hookimpl
def tq_backend(request: BackendRequest) -> Backend:
    """Open results that are sent through RabbitMQ."""
    if names_of(request.url)[-1].lower() == "rpc":
        from tq_amqp.results.rpc import RPCBackend

        return RPCBackend.from_request(request)
    from tq_amqp.results.amqp import TaskQueueBackend

    return TaskQueueBackend.from_request(request)
