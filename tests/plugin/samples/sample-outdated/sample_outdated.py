from tq_core.plugin import PluginInfo, hookimpl

info = PluginInfo(name="sample-outdated", summary="Written for contracts of old.", contract_version=0)


@hookimpl
def tq_backend(request):
    raise AssertionError("an outdated plugin must not be called")
