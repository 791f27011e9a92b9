"""One application's plugins: the catalogue picks, stevedore loads, pluggy checks and calls.

The manager opens things; what it opened is called directly ever after. There is one manager an
application and no global one, so that two applications in one process may disagree about plugins.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, cast

import pluggy

from tq_core.contracts.backend import Backend, BackendCapabilities, BackendRequest
from tq_core.contracts.broker import Broker, BrokerRequest
from tq_core.contracts.pool import Pool, PoolRequest
from tq_core.contracts.schedule_store import ScheduleStore, ScheduleStoreRequest
from tq_core.contracts.serializer import Serializer
from tq_core.errors import PluginBroken, PluginConflict, PluginDisabled, PluginError, TQError
from tq_core.plugin import addressing, hookspecs, loading
from tq_core.plugin.catalogue import CORE, Candidate, Catalogue, is_disabled, normalized
from tq_core.plugin.listeners import Listener, listeners_of
from tq_core.plugin.loading import FACTORIES, Loaded

if TYPE_CHECKING:
    import click

_log = logging.getLogger("tq.plugins")


class PluginManager:
    """Finds, loads, checks and opens plugins. May be used from any thread.

    Args:
        disabled: distributions, or ``kind.name`` pairs like ``brokers.redis``, to leave alone
            (setting ``plugins_disabled``).
        prefer: ``kind.name`` → distribution, for names that several offer (setting ``plugins_prefer``).
        catalogue: what is installed; read from the metadata of the environment when first needed unless
        given.
    """

    def __init__(
        self,
        disabled: Collection[str] = (),
        prefer: Mapping[str, str] | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        self._disabled = frozenset(disabled) | {normalized(name) for name in disabled}
        self._prefer = dict(prefer or {})
        self._catalogue = catalogue
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._lock = threading.RLock()
        self._extended = False
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        #: What went wrong with plugins that nobody asked for by name, by distribution.
        self.problems: dict[str, PluginError] = {}

    # --- choosing

    @property
    def catalogue(self) -> Catalogue:
        """What is installed; reading it costs some milliseconds, once."""
        with self._lock:
            if self._catalogue is None:
                self._catalogue = Catalogue.installed()
            return self._catalogue

    def choose(self, kind: str, name: str) -> Candidate:
        """Return who brings a name, without importing anything.

        Args:
            kind: ``brokers``, ``backends``, ``serializers``, ``pools``, ``schedule_stores`` or
            ``extensions``. name: the name, exactly as registered.

        Raises:
            PluginNotFound: nobody does; the text says what to install, or the nearest names.
            PluginDisabled: who does is switched off.
            PluginConflict: several do, and nothing decides.
        """
        return self.catalogue.choose(kind, name, disabled=self._disabled, prefer=self._prefer)

    def is_disabled(self, candidate: Candidate) -> bool:
        """Tell whether the configuration switches a candidate off."""
        return is_disabled(candidate, self._disabled)

    def load(self, candidate: Candidate) -> Loaded:
        """Import, check and register a candidate; the second time it is only looked up.

        Raises:
            PluginBroken: its import raised, or its hooks are not what they should be.
            PluginIncompatible: it was written for other contracts.
            PluginDisabled: it is switched off.
        """
        key = (candidate.distribution, candidate.module)
        with self._lock:
            loaded = self._loaded.get(key)
            if loaded is None:
                if self.is_disabled(candidate):
                    raise PluginDisabled(f"{candidate} is switched off by `plugins_disabled`")
                loaded = loading.load(candidate)
                if not self._pluggy.is_registered(loaded.module):
                    loading.register(self._pluggy, candidate, loaded)
                self._loaded[key] = loaded
            loading.require_factory(self._pluggy, candidate, loaded)
            return loaded

    def _open(self, kind: str, name: str, expected: type, arguments: Mapping[str, Any]) -> Any:
        """Call the factory hook of the plugin that brings ``name``, and of no other."""
        candidate = self.choose(kind, name)
        loaded = self.load(candidate)
        others = [plugin for plugin in self._pluggy.get_plugins() if plugin is not loaded.module]
        hook = FACTORIES[kind]
        try:
            opened = self._pluggy.subset_hook_caller(hook, others)(**arguments)
        except TQError:
            raise
        except Exception as error:  # a plugin's fault is reported under the plugin's name
            raise loading.broken(candidate, f"its hook {hook!r} raised", error) from error
        fits = issubclass(opened, expected) if isinstance(opened, type) else isinstance(opened, expected)
        if not fits:
            raise PluginBroken(
                f"the plugin {candidate} is broken: its hook {hook!r} returned {type(opened).__name__} for"
                f" {name!r}, which is no {expected.__name__}. Tell its authors."
            )
        return opened

    # --- opening

    def open_broker(self, url: str, settings: Mapping[str, Any], node: str) -> Broker:
        """Open the broker of a URL; it has not connected yet.

        Args:
            url: its scheme, or the path of a class before ``://``, names the plugin.
            settings: every resolved setting by its lower-case name.
            node: name of this process.

        Raises:
            PluginError: the plugin is missing, in conflict, disabled, outdated or broken; the text says
            what to do. ImproperlyConfigured: the plugin cannot use the URL or an option.
        """
        request = BrokerRequest(url=url, settings=settings, node=node)
        if addressing.is_path(url):
            return cast("Broker", _made(addressing.resolve(url, "broker"), request, Broker, url))
        name = addressing.first_registered(url, self.catalogue.names("brokers"))
        broker: Broker = self._open("brokers", name, Broker, {"request": request})
        return broker

    def open_backend(
        self,
        url: str | None,
        settings: Mapping[str, Any],
        serializer: Serializer,
        accept: Collection[str],
        node: str,
    ) -> Backend:
        """Open a result backend; it has not connected yet.

        Args:
            url: a URL, a name like ``rpc``, the path of a class, or None for ``disabled``.
            settings: every resolved setting by its lower-case name.
            serializer: writes and reads results.
            accept: content types that may be read.
            node: name of this process.

        Raises:
            PluginError: as for :meth:`open_broker`.
            ImproperlyConfigured: the plugin cannot use the URL or an option.
        """
        url = url or "disabled"
        request = BackendRequest(url, settings, serializer, frozenset(accept), node)
        if addressing.is_path(url):
            return cast("Backend", _made(addressing.resolve(url, "result backend"), request, Backend, url))
        name = addressing.first_registered(url, self.catalogue.names("backends"))
        backend: Backend = self._open("backends", name, Backend, {"request": request})
        return backend

    def backend_capabilities(self, url: str | None) -> BackendCapabilities | None:
        """Return what the plugin of a result backend says that it can do, without opening it.

        Args:
            url: as for :meth:`open_backend`.

        Returns:
            the capabilities, or None where only the opened backend can tell.

        Raises:
            PluginError: as for :meth:`open_broker`.
        """
        url = url or "disabled"
        if addressing.is_path(url):
            return None
        name = addressing.first_registered(url, self.catalogue.names("backends"))
        offered = self.load(self.choose("backends", name)).info.capabilities
        found = offered.get(f"backend:{name}") or offered.get("backend")
        return found if isinstance(found, BackendCapabilities) else None

    def open_serializer(self, name: str) -> Serializer:
        """Return a serializer by its name, or by the path of a class.

        Raises:
            PluginError: as for :meth:`open_broker`.
            ImproperlyConfigured: a library it needs is missing.
        """
        if addressing.is_path(name):
            found = addressing.resolve(name, "serializer")
            made = _made(lambda _: found() if isinstance(found, type) else found, None, Serializer, name)
            return cast("Serializer", made)
        serializer: Serializer = self._open("serializers", name, Serializer, {"name": name})
        return serializer

    def pool_class(self, name: str) -> type[Pool]:
        """Return a pool's class by its name, or by the path of the class.

        Raises:
            PluginError: as for :meth:`open_broker`.
        """
        if addressing.is_path(name):
            made = _made(lambda _: addressing.resolve(name, "pool"), None, Pool, name)
            return cast("type[Pool]", made)
        pool: type[Pool] = self._open("pools", name, Pool, {"request": PoolRequest(name)})
        return pool

    def open_schedule_store(self, name: str, settings: Mapping[str, Any]) -> ScheduleStore:
        """Open a schedule store by its name or URL, or by the path of a class.

        Raises:
            PluginError: as for :meth:`open_broker`.
            ImproperlyConfigured: the plugin cannot use the URL or an option.
        """
        request = ScheduleStoreRequest(name=name, settings=settings)
        if addressing.is_path(name):
            made = _made(addressing.resolve(name, "schedule store"), request, ScheduleStore, name)
            return cast("ScheduleStore", made)
        registered = addressing.first_registered(name, self.catalogue.names("schedule_stores"))
        store: ScheduleStore = self._open("schedule_stores", registered, ScheduleStore, {"request": request})
        return store

    # --- gathering

    def register(self, plugin: object, name: str | None = None) -> None:
        """Add an object with hooks of its own, made in this process rather than installed.

        Raises:
            PluginBroken: a hook does not exist, or asks for arguments it does not have.
        """
        try:
            self._pluggy.register(plugin, name)
            self._pluggy.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self._pluggy.is_registered(plugin):
                self._pluggy.unregister(plugin)
            raise PluginBroken(f"{name or plugin!r} cannot be used as a plugin: {error}") from error

    def _load_quietly(self, candidate: Candidate) -> Loaded | None:
        """Load a plugin that nobody asked for: its faults are noted and logged, and stop nothing."""
        if self.is_disabled(candidate) or candidate.distribution in self.problems:
            return None
        try:
            if self.choose(candidate.kind, candidate.name) is not candidate:
                return None
            return self.load(candidate)
        except PluginError as error:
            if not isinstance(error, PluginConflict):
                self.problems[candidate.distribution] = error
            _log.warning("%s", error)
            return None

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks of every extension installed (group ``tq.extensions``) or registered here."""
        with self._lock:
            if not self._extended:
                self._extended = True
                for name in self.catalogue.names("extensions"):
                    for candidate in self.catalogue.candidates("extensions", name):
                        self._load_quietly(candidate)
        return self._pluggy.hook

    def observers(self, name: str) -> tuple[Listener, ...]:
        """Return who listens to an observer hook now, to be called with the hook's arguments in their order.

        What a listener raises is logged under its name and goes no further. Taken at start-up and kept: an
        empty tuple costs nothing per task.

        Args:
            name: an observer hook, like ``tq_task_started``.
        """
        return listeners_of(getattr(self.hook, name))

    def settings_schema(self) -> dict[str, Any]:
        """Return the JSON Schema properties of all plugins' settings, by setting name.

        Imports plugin modules, which import no client libraries. Of two plugins that describe one setting
        differently the first by name is heard, and the other noted in :attr:`problems`.
        """
        merged: dict[str, Any] = {}
        owners: dict[str, str] = {}
        for loaded in self._each_distribution():
            for name, schema in self._properties(loaded).items():
                if merged.setdefault(name, schema) != schema:
                    self._note(
                        loaded,
                        f"it describes the setting {name!r} otherwise than {owners[name]}, which is followed",
                    )
                owners.setdefault(name, loaded.distribution)
        return merged

    def cli_commands(self) -> dict[str, click.Command]:
        """Return the commands that extensions add to ``tq``, by name; the first of two by one name stays."""
        commands: dict[str, click.Command] = {}
        for implementation in self.hook.tq_cli_commands.get_hookimpls():
            try:
                offered = cast("Mapping[str, click.Command]", implementation.function())
            except Exception as error:  # one extension's fault must not take the command line down
                _log.warning("the commands of %s are left out: %r", implementation.plugin_name, error)
                continue
            for name, command in offered.items():
                if commands.setdefault(name, command) is not command:
                    _log.warning("%s's command %r is left out: the name is taken", implementation.plugin_name, name)
        return commands

    def _each_distribution(self) -> list[Loaded]:
        """Load every plugin module of every distribution but tq's own, each once."""
        found: dict[int, Loaded] = {}
        for candidate in self.catalogue:
            if candidate.legacy or normalized(candidate.distribution) == CORE:
                continue
            loaded = self._load_quietly(candidate)
            if loaded is not None:
                found.setdefault(id(loaded.module), loaded)
        return sorted(found.values(), key=lambda loaded: loaded.distribution)

    def _properties(self, loaded: Loaded) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        path = loaded.info.settings_schema
        try:
            if path is not None:
                properties.update(json.loads(path.read_text("utf-8")).get("properties", {}))
            collect = getattr(loaded.module, "tq_settings_schema", None)
            if collect is not None:
                properties.update(collect())
        except Exception as error:  # a schema that cannot be read leaves out this plugin's settings, not all
            self._note(loaded, f"its settings schema cannot be read: {type(error).__name__}: {error}")
        return properties

    def _note(self, loaded: Loaded, what: str) -> None:
        problem = PluginBroken(f"the plugin {loaded.distribution} is broken: {what}")
        self.problems[loaded.distribution] = problem
        _log.warning("%s", problem)


def _made(factory: Callable[[Any], Any], request: Any, expected: type[Any], path: str) -> Any:
    """Call what a dotted path named, and make sure of what it returned."""
    try:
        made = factory(request)
    except TQError:
        raise
    except Exception as error:  # reported under the path the user wrote
        raise PluginBroken(f"{path.partition('://')[0]!r} raised {type(error).__name__}: {error}") from error
    fits = issubclass(made, expected) if isinstance(made, type) else isinstance(made, expected)
    if not fits:
        raise PluginBroken(f"{path.partition('://')[0]!r} is no {expected.__module__}.{expected.__name__}")
    return made
