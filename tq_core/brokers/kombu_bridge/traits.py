"""What the bridge has to know about one of kombu's transports. Imports nothing of kombu."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tq_core.contracts.broker import BrokerCapabilities

#: Who keeps a message between its receipt and its ending.
#:
#: ``worker``: nobody but the consumer's memory; the transport deletes what it hands out, and a killed worker loses it.
#: ``timeout``: the server, which hands it out again after a visibility timeout unless it was acknowledged.
#: ``connection``: the server, which hands it out again when the connection ends.
Hold = Literal["worker", "timeout", "connection"]


@dataclass(frozen=True, slots=True)
class Traits:
    """One transport.

    Attributes:
        alias: kombu's name for it.
        hold: who keeps a message that was received.
        capabilities: what the bridge can promise over it.
        implementation: ``module:Class`` of a transport to use instead of the one kombu has under that name.
        module: the driver's module, whose absence is reported before anything is opened; empty when it needs none.
        requires: what to ``pip install`` for it.
        topology: exchange and binding of a queue are declared as well, as Celery does on AMQP.
        poll: most seconds between two looks into empty queues.
        options: defaults for ``broker_transport_options`` that differ from kombu's.
        query: parameters that are added to a URL which lacks them, for drivers that take their time-outs from there.
        breaks: promises of the broker contract that do not hold, by their ids, each with the reason.
        proof: what it was tried against, in a few words; empty when it was not.
    """

    alias: str
    hold: Hold
    capabilities: BrokerCapabilities
    implementation: str = ""
    module: str = ""
    requires: str = ""
    topology: bool = False
    poll: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    breaks: Mapping[str, str] = field(default_factory=dict)
    proof: str = ""
