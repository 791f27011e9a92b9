from tq_core.plugin import PluginInfo, hookimpl

info = PluginInfo(name="sample-needy", summary="Needs a client library that is not installed.")


@hookimpl
def tq_serializer(name):
    import no_such_client_library

    return no_such_client_library.Serializer()
