"""The plugin's face: what it is, what it can do, and how it is opened.

Imports nothing heavy, so that listing plugins costs nothing; SQLAlchemy is imported when something is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tq_core.plugin.hookspecs import hookimpl
from tq_core.plugin.info import PluginInfo
from tq_sqlalchemy.capabilities import BACKEND_CAPABILITIES, BROKER_CAPABILITIES

if TYPE_CHECKING:
    from tq_core.contracts.backend import Backend, BackendRequest
    from tq_core.contracts.broker import Broker, BrokerRequest

info = PluginInfo(
    name="tq-sqlalchemy",
    summary="Queues, results and coordination in a database: SQLite, the embedded default, or PostgreSQL.",
    capabilities={"broker": BROKER_CAPABILITIES, "backend": BACKEND_CAPABILITIES},
)


@hookimpl
def tq_broker(request: BrokerRequest) -> Broker:
    """Open queues kept in the database that ``request.url`` names."""
    from tq_sqlalchemy.broker import DatabaseBroker

    return DatabaseBroker.from_request(request)


@hookimpl
def tq_backend(request: BackendRequest) -> Backend:
    """Open results kept in the database that ``request.url`` names."""
    from tq_sqlalchemy.backend import DatabaseBackend

    return DatabaseBackend.from_request(request)
