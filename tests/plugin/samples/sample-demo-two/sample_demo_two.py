"""One of two distributions that offer ``demo://``."""

from tq_core.plugin import PluginInfo, hookimpl

info = PluginInfo(name="sample-demo-two", summary="Offers demo://, as another one does.")


@hookimpl
def tq_broker(request):
    from tq_core.brokers.memory import MemoryBroker

    class DemoBroker(MemoryBroker):
        origin = "two"

    return DemoBroker(request)
