"""What is installed: every name that a distribution offers, found without importing any of it.

The catalogue is read from the metadata of installed distributions, once, when first needed. It chooses;
only what was chosen is ever imported.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tq_core.errors import PluginConflict, PluginDisabled, PluginNotFound
from tq_core.plugin.addressing import names_of
from tq_core.plugin.known import KNOWN

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

#: Kind, as written in ``plugins_prefer``, → entry-point group.
GROUPS: Mapping[str, str] = {
    "brokers": "tq.brokers",
    "backends": "tq.backends",
    "serializers": "tq.serializers",
    "pools": "tq.pools",
    "schedule_stores": "tq.schedule_stores",
    "extensions": "tq.extensions",
}
#: Groups in which packages made for Celery publish themselves; listed, never loaded from here.
LEGACY_GROUPS: Mapping[str, str] = {
    "celery.result_backends": "celery.result_backends",
    "celery.beat_schedulers": "celery.beat_schedulers",
    "celery.commands": "celery.commands",
    "kombu.serializers": "kombu.serializers",
}
#: Kind → what one of it is called in a sentence.
NOUNS: Mapping[str, str] = {
    "brokers": "broker",
    "backends": "result backend",
    "serializers": "serializer",
    "pools": "pool",
    "schedule_stores": "schedule store",
    "extensions": "extension",
}
#: The distribution of tq itself.
CORE = "tq-core"

_KINDS = {group: kind for kind, group in (*GROUPS.items(), *LEGACY_GROUPS.items())}


def normalized(distribution: str) -> str:
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One name that one distribution offers.

    Attributes:
        kind: a key of :data:`GROUPS` or :data:`LEGACY_GROUPS`.
        name: the URL scheme or plain name.
        distribution: who offers it.
        version: the distribution's version.
        entry_point: where it is.
        requires: the distribution's unconditional requirements, by name.
    """

    kind: str
    name: str
    distribution: str
    version: str
    entry_point: EntryPoint = field(repr=False)
    requires: tuple[str, ...] = field(default=(), repr=False)

    @property
    def module(self) -> str:
        """Where it is, as ``module`` or ``module:name``."""
        return self.entry_point.value

    @property
    def legacy(self) -> bool:
        """True for what was published for Celery or kombu."""
        return self.kind in LEGACY_GROUPS

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


class Catalogue:
    """All candidates, by kind and name.

    Args:
        candidates: what is offered.
        unreadable: distributions whose metadata cannot be read, each with the reason.
    """

    def __init__(self, candidates: Iterable[Candidate], unreadable: Mapping[str, str] | None = None) -> None:
        self._candidates: dict[tuple[str, str], list[Candidate]] = {}
        for candidate in candidates:
            self._candidates.setdefault((candidate.kind, candidate.name), []).append(candidate)
        self.unreadable = dict(unreadable or {})

    @classmethod
    def installed(cls) -> Catalogue:
        """Read the metadata of every installed distribution; imports none of them."""
        import importlib.metadata  # costs more than all of this room

        candidates: list[Candidate] = []
        unreadable: dict[str, str] = {}
        seen: set[str] = set()
        for distribution in importlib.metadata.distributions():
            try:
                candidates += _offers(distribution, seen)
            except Exception as error:  # metadata that cannot be read concerns only who asks for it
                unreadable[str(getattr(distribution, "_path", distribution))] = f"{type(error).__name__}: {error}"
        return cls([*candidates, *_builtin(candidates)], unreadable)

    def __iter__(self) -> Iterator[Candidate]:
        """Iterate over all candidates, by kind, name and distribution."""
        for _, candidates in sorted(self._candidates.items()):
            yield from sorted(candidates, key=lambda c: c.distribution)

    def names(self, kind: str) -> list[str]:
        """Return every name offered in a kind, sorted."""
        return sorted(name for k, name in self._candidates if k == kind)

    def candidates(self, kind: str, name: str) -> list[Candidate]:
        """Return who offers a name; more than one is a conflict to be decided."""
        return sorted(self._candidates.get((kind, name), ()), key=lambda c: c.distribution)

    def choose(
        self, kind: str, name: str, *, disabled: Collection[str] = (), prefer: Mapping[str, str] | None = None
    ) -> Candidate:
        """Return the one candidate that a name stands for.

        Args:
            kind: a key of :data:`GROUPS`.
            name: a name, exactly.
            disabled: normalized distributions and ``kind.name`` pairs that are switched off.
            prefer: ``kind.name`` → distribution, deciding conflicts.

        Raises:
            PluginNotFound: nobody offers it; the text says what to install, or the nearest names.
            PluginDisabled: whoever offers it is switched off.
            PluginConflict: several offer it and ``prefer`` does not decide.
        """
        offered = self.candidates(kind, name)
        if not offered:
            raise PluginNotFound(self._not_found(kind, name))
        enabled = [c for c in offered if not is_disabled(c, disabled)]
        noun = NOUNS[kind]
        if not enabled:
            raise PluginDisabled(
                f"the {noun} {name!r} comes from {_joined(offered)}, which `plugins_disabled` switches off;"
                " remove it there, or configure another one"
            )
        key = f"{kind}.{name}"
        wanted = (prefer or {}).get(key)
        if wanted is not None:
            chosen = [c for c in enabled if normalized(c.distribution) == normalized(wanted)]
            if not chosen:
                raise PluginNotFound(
                    f"`plugins_prefer` says that the {noun} {name!r} is to come from {wanted!r}, but it is"
                    f" offered by {_joined(enabled)}; install {wanted!r} or correct `plugins_prefer`"
                )
            return chosen[0]
        if len(enabled) > 1:
            raise PluginConflict(
                f"the {noun} {name!r} is offered by {_joined(enabled)}; decide in celeryconfig.yaml:\n"
                f"plugins_prefer:\n  {key}: {enabled[0].distribution}"
            )
        return enabled[0]

    def _not_found(self, kind: str, name: str) -> str:
        noun = NOUNS[kind]
        shown = f"{name}://" if kind == "brokers" else repr(name)
        known = KNOWN.get(kind, {})
        distribution = next((known[n] for n in names_of(name) if n in known), None)
        names = self.names(kind)
        if distribution is not None:
            installed = [c for c in self if normalized(c.distribution) == normalized(distribution)]
            if not installed:
                return f"the {noun} {shown} needs {distribution}: pip install {distribution}"
            theirs = ", ".join(c.name for c in installed if c.kind == kind) or "none"
            return (
                f"{distribution} {installed[0].version} does not offer the {noun} {shown}, only: {theirs}."
                f" A newer one may: pip install -U {distribution}"
            )
        import difflib

        near = difflib.get_close_matches(name.lower(), sorted({*names, *known}), n=1, cutoff=0.6)
        text = f"no installed distribution offers the {noun} {shown}"
        if near:
            text += f"; did you mean {near[0]!r}?"
            if near[0] not in names:
                text += f" (it needs {known[near[0]]}: pip install {known[near[0]]})"
        else:
            text += "."
        return f"{text} Installed: {', '.join(names) or 'none'}."


def is_disabled(candidate: Candidate, disabled: Collection[str]) -> bool:
    """Tell whether a candidate is switched off, by its distribution or by ``kind.name``."""
    return (
        normalized(candidate.distribution) in disabled
        or candidate.distribution in disabled
        or f"{candidate.kind}.{candidate.name}" in disabled
    )


def _joined(candidates: list[Candidate]) -> str:
    names = [str(candidate) for candidate in candidates]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _offers(distribution: Distribution, seen: set[str]) -> Iterator[Candidate]:
    """Yield what a distribution offers; of two installations of one name, the one Python would import."""
    text = distribution.read_text("entry_points.txt") or ""
    # Most distributions offer nothing to a task queue: their metadata, which is slow to parse, is left alone.
    if not any(f"[{group}]" in text for group in _KINDS):
        return
    name, version = distribution.metadata["Name"], distribution.version
    if normalized(name) in seen:
        return
    seen.add(normalized(name))
    requires = tuple(
        match.group() for text in distribution.requires or () if ";" not in text and (match := _NAME.match(text))
    )
    for entry_point in distribution.entry_points:
        kind = _KINDS.get(entry_point.group)
        if kind is not None:
            yield Candidate(kind, entry_point.name, name, version, entry_point, requires)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _builtin(found: list[Candidate]) -> Iterator[Candidate]:
    """Yield tq's own offers that metadata lacks: tq may run from a checkout that nobody installed."""
    from importlib.metadata import EntryPoint

    from tq_core.plugin import builtin

    present = {(c.kind, c.name) for c in found if normalized(c.distribution) == CORE}
    version = next((c.version for c in found if normalized(c.distribution) == CORE), "(checkout)")
    for kind, names in builtin.CLASSES.items():
        for name in names:
            if (kind, name) not in present:
                entry_point = EntryPoint(name, builtin.__name__, GROUPS[kind])
                yield Candidate(kind, name, CORE, version, entry_point)
