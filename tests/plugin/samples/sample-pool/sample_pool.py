"""A pool under a name of its own."""

from tq_core.plugin import PluginInfo, hookimpl

info = PluginInfo(name="sample-pool", summary="Runs jobs one after the other.")


@hookimpl
def tq_pool(request):
    from tq_core.pools.solo import SoloPool

    class InlinePool(SoloPool):
        name = "inline"

    return InlinePool
