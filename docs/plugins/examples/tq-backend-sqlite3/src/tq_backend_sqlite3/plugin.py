"""What tq reads to know this plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tq_core.contracts.backend import BackendCapabilities
from tq_core.plugin import PluginInfo, hookimpl

if TYPE_CHECKING:
    from tq_core.contracts.backend import Backend, BackendRequest

#: What this backend promises.
CAPABILITIES = BackendCapabilities(groups=True, chords=True, expiry=True)

info = PluginInfo(
    name="tq-backend-sqlite3",
    summary="Results in one SQLite file, with nothing but the standard library.",
    capabilities={"backend": CAPABILITIES},
)


@hookimpl
def tq_backend(request: BackendRequest) -> Backend:
    """Open the backend of a ``sqlite3:///file`` URL."""
    from tq_backend_sqlite3.backend import SQLiteBackend

    return SQLiteBackend(request)
