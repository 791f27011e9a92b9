"""What tq reads to know this plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tq_core.contracts.pool import PoolCapabilities
from tq_core.plugin import PluginInfo, hookimpl

if TYPE_CHECKING:
    from tq_core.contracts.pool import Pool, PoolRequest

#: What this pool can do to a running task.
CAPABILITIES = PoolCapabilities(soft_limit=True, hard_limit=True, cancel=True)

info = PluginInfo(
    name="tq-pool-fresh",
    summary="Runs each task in a thread of its own, so that no task sees what another left in its thread.",
    capabilities={"pool": CAPABILITIES},
)


@hookimpl
def tq_pool(request: PoolRequest) -> type[Pool]:
    """Return the class of the pool ``fresh``."""
    from tq_pool_fresh.pool import FreshThreadPool

    return FreshThreadPool
