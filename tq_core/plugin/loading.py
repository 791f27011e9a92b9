"""Bringing one chosen plugin in: stevedore imports it, then it is checked before anything of it is used."""

from __future__ import annotations

from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from tq_core.contracts import CONTRACT_VERSION
from tq_core.errors import PluginBroken, PluginIncompatible, TQError
from tq_core.plugin import hookspecs
from tq_core.plugin.catalogue import CORE, NOUNS, Candidate, normalized
from tq_core.plugin.info import PluginInfo

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: Kind → the hook a plugin of that kind must implement.
FACTORIES = {
    "brokers": "tq_broker",
    "backends": "tq_backend",
    "serializers": "tq_serializer",
    "pools": "tq_pool",
    "schedule_stores": "tq_schedule_store",
}

#: Every hook there is.
HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith("tq_"))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plugin module that was imported and found in order.

    Attributes:
        module: the plugin module.
        info: its description.
        distribution: whose it is.
    """

    module: ModuleType
    info: PluginInfo
    distribution: str


def load(candidate: Candidate) -> Loaded:
    """Import a candidate's plugin module and check its description.

    Raises:
        PluginBroken: the import raised, or what was imported is not a plugin module.
        PluginIncompatible: it was written for Celery, or for another version of the contracts.
    """
    if candidate.legacy:
        raise PluginIncompatible(
            f"{candidate} publishes {candidate.name!r} for Celery ({candidate.module}); tq lists it, but"
            f" loads only what is published in groups like tq.{candidate.kind.rpartition('.')[2]}"
        )
    try:
        module = _import(candidate)
    except Exception as error:  # whatever an import may raise: it concerns only who asked for this plugin
        raise broken(candidate, f"its import of {candidate.module} raised", error) from error
    if not isinstance(module, ModuleType):
        raise PluginBroken(
            f"{_subject(candidate)} is broken: its entry point {candidate.module!r} is a"
            f" {type(module).__name__}; it must name the plugin module alone"
        )
    info = getattr(module, "info", None)
    if not isinstance(info, PluginInfo):
        raise PluginBroken(
            f"{_subject(candidate)} is broken: its module {candidate.module!r} has no"
            " `info = PluginInfo(…)`. Tell its authors."
        )
    if info.contract_version != CONTRACT_VERSION:
        older = info.contract_version < CONTRACT_VERSION
        remedy = (
            f"pip install -U {candidate.distribution}"
            if older
            else f"pip install -U tq-core, or install an older {candidate.distribution}"
        )
        raise PluginIncompatible(
            f"{_subject(candidate)} was written for version {info.contract_version} of tq's contracts; this"
            f" tq-core has version {CONTRACT_VERSION}: {remedy}"
        )
    return Loaded(module, info, candidate.distribution)


def register(pluggy_manager: pluggy.PluginManager, candidate: Candidate, loaded: Loaded) -> None:
    """Register a plugin's hooks, refusing hooks that do not exist and arguments they do not have.

    Raises:
        PluginBroken: names the hook, and the nearest one there is.
    """
    for name, function in vars(loaded.module).items():
        if name.startswith("tq_") and isinstance(function, FunctionType) and name not in HOOKS:
            import difflib

            near = difflib.get_close_matches(name, HOOKS, n=1)
            hint = f"; did its authors mean {near[0]!r}?" if near else ""
            raise PluginBroken(f"{_subject(candidate)} is broken: there is no hook {name!r}{hint}")
    try:
        pluggy_manager.register(loaded.module, name=f"{candidate.distribution}:{candidate.module}")
        pluggy_manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        if pluggy_manager.is_registered(loaded.module):
            pluggy_manager.unregister(loaded.module)
        text = " ".join(str(error).split())
        raise PluginBroken(f"{_subject(candidate)} is broken: {text}") from error


def require_factory(pluggy_manager: pluggy.PluginManager, candidate: Candidate, loaded: Loaded) -> None:
    """Make sure that a registered plugin has the hook its kind needs.

    Raises:
        PluginBroken: it has not.
    """
    hook = FACTORIES.get(candidate.kind)
    if hook is None:
        return
    callers = pluggy_manager.get_hookcallers(loaded.module) or []
    if not any(caller.name == hook for caller in callers):
        raise PluginBroken(
            f"{_subject(candidate)} is broken: it registers {candidate.name!r} but has no"
            f" `@hookimpl` named {hook!r}. Tell its authors."
        )


def broken(candidate: Candidate, what: str, error: BaseException) -> PluginBroken:
    """Return the error that tells who failed, how, and what to do."""
    text = f"{_subject(candidate)} is broken: {what} {type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        text += f". It needs the module {error.name!r}; reinstall it with its dependencies:"
        text += f" pip install --force-reinstall {candidate.distribution}"
    elif not isinstance(error, TQError):
        text += f". Upgrade it (pip install -U {candidate.distribution}), or tell its authors"
    return PluginBroken(text)


def _subject(candidate: Candidate) -> str:
    noun = NOUNS.get(candidate.kind, candidate.kind)
    return f"the plugin {candidate} (which offers the {noun} {candidate.name!r})"


def _import(candidate: Candidate) -> Any:
    """Import an entry point's module with stevedore, which sees this one entry point and no other.

    Left to find entry points by itself, stevedore answers from a cache on disk that outlives a
    reinstallation, and imports every claimant of a name, so that a broken one takes the healthy one with it.
    """
    entry_point = candidate.entry_point
    if normalized(candidate.distribution) == CORE:
        return entry_point.load()  # nothing to choose: a process using only built-ins is spared stevedore

    from stevedore.driver import DriverManager

    class Chosen(DriverManager[Any]):
        """A driver manager of exactly one entry point."""

        def list_entry_points(self) -> list[EntryPoint]:
            return [entry_point]

    return Chosen(namespace=entry_point.group, name=entry_point.name, invoke_on_load=False).driver
