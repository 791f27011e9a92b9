"""What a plugin imports: the hook marker and its description."""

from tq_core.plugin.hookspecs import hookimpl
from tq_core.plugin.info import PluginInfo

__all__ = ["PluginInfo", "hookimpl"]
