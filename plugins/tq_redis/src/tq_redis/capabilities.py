"""What the plugin promises of Redis; see :mod:`tq_core.contracts.capability`. Imports nothing heavy."""

from __future__ import annotations

from tq_core.contracts.backend import BackendCapabilities
from tq_core.contracts.broker import BrokerCapabilities

BROKER_CAPABILITIES = BrokerCapabilities(
    due_time=True,
    priority=True,
    priority_order="low_first",
    lease=True,
    orphans=True,
    delivery_count=True,
    dead_letters=True,
    atomic_settle=True,
    broadcast=True,
    control=True,
    peek=True,
    depth=True,
    purge=True,
    move=True,
    pause=True,
)

BACKEND_CAPABILITIES = BackendCapabilities(
    push=True, groups=True, chords=True, expiry=True, coordination=True, subscribe=True
)
