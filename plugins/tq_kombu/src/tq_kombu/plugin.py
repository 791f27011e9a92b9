"""What tq reads to know this plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tq_core.errors import ImproperlyConfigured
from tq_core.plugin import PluginInfo, hookimpl
from tq_kombu.transports import TRANSPORTS, alias_of

if TYPE_CHECKING:
    from tq_core.contracts.broker import Broker, BrokerRequest

info = PluginInfo(
    name="tq-kombu",
    summary="Every transport of kombu: SQS, MongoDB, Azure, Google Pub/Sub, Kafka, files and others.",
    capabilities={
        f"broker:{name}": traits.capabilities
        for alias, traits in TRANSPORTS.items()
        for name in (alias, f"kombu+{alias}")
    },
)


@hookimpl
def tq_broker(request: BrokerRequest) -> Broker:
    """Open queues behind the kombu transport that ``request.url`` names."""
    from tq_core.brokers.kombu_bridge.broker import KombuBroker

    alias = alias_of(request.url)
    traits = TRANSPORTS.get(alias)
    if traits is None:
        raise ImproperlyConfigured(f"kombu has no transport {alias!r}; it has {', '.join(sorted(TRANSPORTS))}")
    return KombuBroker(request, traits)
