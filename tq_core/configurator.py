"""Taking an application's settings from objects, files and the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tq_core.config.settings import Level, Settings
from tq_core.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from tq_core.config.source import Source
    from tq_core.plugin.manager import PluginManager

#: Files that every application reads from the working directory unless it is told otherwise.
_YAML_FILES = ("celeryconfig.yaml", "celeryconfig.yml")
#: Settings that decide which plugins are imported.
_PLUGIN_CHOICE = frozenset({"plugins_disabled", "plugins_prefer"})


class Configurator:
    """Puts sources of settings into one application's settings, strictly.

    Args:
        conf: the settings.
        plugins: returns the application's plugin manager, whose plugins add settings of their own.
        changed: called after the settings changed.
    """

    def __init__(self, conf: Settings, plugins: Callable[[], PluginManager], changed: Callable[[], None]) -> None:
        self._conf = conf
        self._plugins = plugins
        self._changed = changed

    def take_object(self, obj: Any, namespace: str | None) -> None:
        """Take settings from an object, a mapping, or the name of a module; see ``Celery.config_from_object``."""
        from tq_core.config.loading import read

        try:
            source = read(obj, namespace=namespace or "")
        except ImportError:
            # ``config_from_object("celeryconfig")`` of a site that writes its configuration in YAML.
            file = next((f"{obj}{ending}" for ending in (".yaml", ".yml") if os.path.isfile(f"{obj}{ending}")), None)
            if file is None:
                raise
            self.take_file(file)
        else:
            self._adopt([(Level.FILE, source)])

    def take_surroundings(self) -> None:
        """Take the settings that need not be named: ``CELERY_CONFIG_MODULE``, ``celeryconfig.yaml``, the environment.

        A ``celeryconfig.py`` is not among them: Celery's applications read it only when the program says so.
        """
        from tq_core.config.environment import CONFIG_VARIABLE, read_environment

        named = os.environ.get(CONFIG_VARIABLE)
        found = named or next((name for name in _YAML_FILES if os.path.isfile(name)), None)
        if found is not None:
            self.take_file(found)
            return
        source = read_environment(os.environ, {})
        if source.entries:
            self._adopt([(Level.ENVIRONMENT, source)])

    def take_variable(self, name: str) -> None:
        """Take settings from the module or file that an environment variable names."""
        file = os.environ.get(name)
        if not file:
            raise ImproperlyConfigured(f"The environment variable {name!r} is not set; it should name the settings")
        self.take_file(file)

    def take_file(self, name: str | None) -> str | None:
        """Take settings from a file or module and from the environment; see ``Celery.config_from_file``."""
        from tq_core.config.environment import read_environment
        from tq_core.config.loading import discover, read_named

        found = name if name is not None else discover(os.environ)
        sources = [] if found is None else [(Level.FILE, read_named(found))]
        self._choose_plugins([*sources, (Level.ENVIRONMENT, read_environment(os.environ))])
        schema = self._plugins().settings_schema()
        self._conf.declare(schema)
        self._adopt([*sources, (Level.ENVIRONMENT, read_environment(os.environ, schema))], schema)
        return found

    def _choose_plugins(self, sources: Iterable[tuple[Level, Source]]) -> None:
        """Take the settings that say which plugins may be imported, before any is asked for its settings."""
        from tq_core.config.validation import examine

        for level, source in sources:
            entries = tuple(entry for entry in source.entries if entry.name.lower() in _PLUGIN_CHOICE)
            # What is wrong with them is said when everything is examined.
            values, origins, _ = examine(replace(source, entries=entries))
            self._conf.adopt_layer(values, origins, level)
        self._changed()

    def _adopt(self, sources: Iterable[tuple[Level, Source]], schema: Mapping[str, Any] | None = None) -> None:
        """Take the settings of some sources, or raise with every mistake in any of them."""
        from tq_core.config.mistake import ConfigurationInvalid
        from tq_core.config.validation import examine

        examined = [(level, *examine(source, schema)) for level, source in sources]
        mistakes = [mistake for _, _, _, wrong in examined for mistake in wrong]
        if mistakes:
            raise ConfigurationInvalid(mistakes)
        for level, values, origins, _ in examined:
            self._conf.adopt_layer(values, origins, level)
        self._changed()
