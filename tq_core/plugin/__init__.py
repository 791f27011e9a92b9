"""What a plugin imports: the hook marker, its description, and the kinds of thing it may offer."""

from tq_core.plugin.hookspecs import hookimpl
from tq_core.plugin.info import PluginInfo

__all__ = ["PluginInfo", "hookimpl"]
