"""What tq reads to know this plugin. Imports nothing that opens, connects or takes time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tq_core.contracts.broker import BrokerCapabilities
from tq_core.plugin import PluginInfo, hookimpl

if TYPE_CHECKING:
    from tq_core.contracts.broker import Broker, BrokerRequest

#: What this broker promises; the conformance kit tests every word of it.
CAPABILITIES = BrokerCapabilities(
    due_time=True,
    lease=True,
    orphans=True,
    delivery_count=True,
    dead_letters=True,
    peek=True,
    depth=True,
    purge=True,
)

info = PluginInfo(
    name="tq-broker-directory",
    summary="Keeps each message in a file; for one machine, without a server.",
    capabilities={"broker": CAPABILITIES},
    settings_schema=Path(__file__).with_name("settings.json"),
)


@hookimpl
def tq_broker(request: BrokerRequest) -> Broker:
    """Open the broker of a ``directory:///path`` URL."""
    from tq_broker_directory.broker import DirectoryBroker

    return DirectoryBroker(request)
