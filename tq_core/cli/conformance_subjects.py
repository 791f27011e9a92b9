"""What ``tq plugins test`` is to try: which contracts of which plugins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from tq_core.config.masking import mask_url
from tq_core.config.nearness import nearest
from tq_core.plugin.catalogue import normalized

if TYPE_CHECKING:
    from tq_core.plugin.catalogue import Candidate
    from tq_core.plugin.manager import PluginManager
    from tq_core.testing.conformance.report import Report

#: Kind of plugin → the contract it is to keep.
CONTRACTS: Mapping[str, str] = {
    "brokers": "broker",
    "backends": "backend",
    "serializers": "serializer",
    "pools": "pool",
    "schedule_stores": "schedule_store",
}
#: The contract of a distribution's description.
DESCRIPTION = "plugin"


@dataclass(frozen=True, slots=True)
class Subject:
    """One contract to try on one plugin.

    Attributes:
        label: what the plugin is called in the answer; holds no password.
        contract: like ``broker``.
        plugin: its registered name, or a class's path.
        url: where it is, None where it needs no place.
    """

    label: str
    contract: str
    plugin: str
    url: str | None

    def tried(self, settings: Mapping[str, Any], only: Sequence[str]) -> Report:
        """Run the kit; takes some seconds up to a minute.

        Raises:
            ImproperlyConfigured: there is no such contract, or the kit is not installed.
        """
        from tq_core.testing.conformance.run import run

        report = run(self.contract, self.plugin, self.url, settings, only=only)
        return replace(report, plugin=self.label)


def subjects_of(
    manager: PluginManager, names: Sequence[str], url: str | None, contracts: Sequence[str]
) -> Iterator[Subject]:
    """Yield what to try.

    Args:
        manager: knows what is installed.
        names: registered names, URLs, or paths of classes.
        url: where the only plugin of ``names`` is.
        contracts: those to try; whatever the plugin is installed for when empty.

    Raises:
        click.BadParameter: nothing is called so, or has such a contract.
        PluginError: it cannot be loaded; the text says what to do.
    """
    if url is not None and len(names) > 1:
        raise click.UsageError("--url goes with a single NAME; for several, write URLs instead of names")
    schemes = [name.partition("://")[0] for name in names]
    for name, scheme in zip(names, schemes, strict=True):
        label = mask_url(name) if schemes.count(scheme) > 1 else scheme
        where = url or (name if "://" in name else None)
        for contract in contracts or _offered(manager, name):
            described = contract == DESCRIPTION
            plugin = _distribution_of(manager, scheme) if described else scheme
            yield Subject(label, contract, plugin, None if described else where)


def _candidates(manager: PluginManager, name: str) -> Iterator[Candidate]:
    """Yield who offers a name or URL, one for each kind."""
    from tq_core.plugin.addressing import first_registered

    for kind in CONTRACTS:
        known = manager.catalogue.names(kind)
        registered = first_registered(name, known)
        if registered in known:
            yield manager.choose(kind, registered)


def _offered(manager: PluginManager, name: str) -> Iterator[str]:
    """Yield the contracts that a name is installed for."""
    from tq_core.plugin.addressing import is_path

    if is_path(name):
        raise click.BadParameter(f"say which contract {name!r} is to keep: --contract broker", param_hint="NAME")
    candidates = list(_candidates(manager, name))
    if not candidates:
        raise _unknown(manager, name)
    for candidate in candidates:
        contract = CONTRACTS[candidate.kind]
        yield contract
        capabilities = manager.load(candidate).info.capabilities
        offered = capabilities.get(f"{contract}:{candidate.name}") or capabilities.get(contract)
        if getattr(offered, "coordination", False):
            yield "coordination"
    yield DESCRIPTION


def _distribution_of(manager: PluginManager, name: str) -> str:
    """Return the distribution that offers a name, or is called so."""
    for candidate in _candidates(manager, name):
        return candidate.distribution
    for candidate in manager.catalogue:
        if normalized(candidate.distribution) == normalized(name):
            return candidate.distribution
    raise _unknown(manager, name)


def _unknown(manager: PluginManager, name: str) -> click.BadParameter:
    near = nearest(name.partition("://")[0], {known for kind in CONTRACTS for known in manager.catalogue.names(kind)})
    hint = f"; did you mean {near!r}?" if near else "; `tq plugins` lists what is installed"
    return click.BadParameter(f"nothing installed is called {mask_url(name)!r}{hint}", param_hint="NAME")
