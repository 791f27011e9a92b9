from tq_core.plugin import PluginInfo, hookimpl

info = PluginInfo(name="sample-misspelt", summary="Names a hook that does not exist.")


@hookimpl
def tq_task_startd(task_id, task_name):
    pass
