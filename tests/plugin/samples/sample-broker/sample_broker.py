"""A broker of its own: the memory broker's queues, under another scheme and with a settings schema."""

from pathlib import Path

from tq_core.plugin import PluginInfo, hookimpl

info = PluginInfo(
    name="sample-broker",
    summary="Keeps messages on a shelf.",
    settings_schema=Path(__file__).with_suffix(".json"),
)


@hookimpl
def tq_broker(request):
    from tq_core.brokers.memory import MemoryBroker

    class ShelfBroker(MemoryBroker):
        pass

    return ShelfBroker(request)
