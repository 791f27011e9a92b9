"""The plugin's face: what it is, what it can do, and how it is opened.

Imports nothing heavy, so that listing plugins costs nothing; py-amqp is imported when something is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tq_core.contracts.broker import BrokerCapabilities
from tq_core.plugin.hookspecs import hookimpl
from tq_core.plugin.info import PluginInfo

if TYPE_CHECKING:
    from tq_core.contracts.broker import Broker, BrokerRequest

BROKER_CAPABILITIES = BrokerCapabilities(
    due_time=True,
    priority_order="high_first",
    orphans=True,
    delivery_count=True,
    dead_letters=True,
    broadcast=True,
    peek=True,
    depth=True,
    purge=True,
    exchanges=True,
)

info = PluginInfo(
    name="tq-amqp",
    summary="Queues in RabbitMQ, on Celery's topology.",
    capabilities={"broker": BROKER_CAPABILITIES},
)


@hookimpl
def tq_broker(request: BrokerRequest) -> Broker:
    """Open queues kept in the RabbitMQ that ``request.url`` names."""
    from tq_amqp.broker import AMQPBroker

    return AMQPBroker.from_request(request)
