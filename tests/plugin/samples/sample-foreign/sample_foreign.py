from tq_core.plugin import PluginInfo, hookimpl

info = PluginInfo(name="sample-foreign", summary="Asks a hook for an argument it does not have.")


@hookimpl
def tq_task_started(task_id, colour):
    pass
