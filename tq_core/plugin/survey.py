"""The state of every plugin, for people: what ``tq plugins`` shows."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, field
from typing import Any

from tq_core.contracts.capability import described
from tq_core.errors import PluginConflict, PluginDisabled, PluginError, PluginIncompatible, TQError
from tq_core.plugin.catalogue import CORE, NOUNS, Candidate, normalized
from tq_core.plugin.manager import PluginManager

OK, BROKEN, DISABLED, CONFLICT = "ok", "broken", "disabled", "conflict"
OUTDATED, MISSING_DEPENDENCY, LISTED = "outdated", "missing dependency", "listed"

#: States in which a plugin cannot be used although nobody switched it off.
FAILURES = frozenset({BROKEN, CONFLICT, OUTDATED, MISSING_DEPENDENCY})


@dataclass(frozen=True, slots=True)
class Status:
    """What is known about one name that one distribution offers.

    Attributes:
        kind: like ``brokers``.
        name: the URL scheme or plain name.
        distribution: who offers it.
        version: the distribution's version.
        module: where it is.
        state: one of the words above; ``listed`` for what was published for Celery.
        problem: what is wrong and what to do, or None.
        summary: what the plugin says of itself.
        capabilities: flag → value and sentence.
    """

    kind: str
    name: str
    distribution: str
    version: str
    module: str
    state: str
    problem: str | None = None
    summary: str = ""
    capabilities: dict[str, tuple[Any, str]] = field(default_factory=dict)


def survey(manager: PluginManager, *, thorough: bool = False) -> list[Status]:
    """Return the status of everything installed, by kind and name.

    Args:
        manager: whose configuration decides what is disabled and preferred.
        thorough: open what can be opened without a server, too (serializers, pools).
    """
    statuses = [_status(manager, candidate, thorough) for candidate in manager.catalogue]
    statuses += [
        Status("distribution", path.rpartition("/")[2], path, "", "", BROKEN, f"its metadata: {reason}")
        for path, reason in sorted(manager.catalogue.unreadable.items())
    ]
    return statuses


def _status(manager: PluginManager, candidate: Candidate, thorough: bool) -> Status:
    def made(state: str, problem: object = None, **more: Any) -> Status:
        return Status(
            candidate.kind,
            candidate.name,
            candidate.distribution,
            candidate.version,
            candidate.module,
            state,
            None if problem is None else str(problem),
            **more,
        )

    if manager.is_disabled(candidate):
        return made(DISABLED, "switched off by `plugins_disabled`")
    if candidate.legacy:
        return made(LISTED, "published for Celery; tq lists it")
    missing = _missing(candidate)
    if missing:
        return made(
            MISSING_DEPENDENCY,
            f"{candidate} needs {', '.join(missing)}: pip install {' '.join(missing)}",
        )
    try:
        loaded = manager.load(candidate)
    except PluginIncompatible as error:
        return made(OUTDATED, error)
    except PluginError as error:
        absent = isinstance(error.__cause__, ModuleNotFoundError)
        return made(MISSING_DEPENDENCY if absent else BROKEN, error)
    facts: dict[str, Any] = {"summary": loaded.info.summary}
    try:
        chosen = manager.choose(candidate.kind, candidate.name)
        if chosen is not candidate:
            return made(DISABLED, f"`plugins_prefer` prefers {chosen}", **facts)
        facts["capabilities"] = _capabilities(loaded.info.capabilities, candidate)
        if thorough:
            _try_out(manager, candidate)
    except PluginConflict as error:
        return made(CONFLICT, error, **facts)
    except PluginDisabled as error:
        return made(DISABLED, error, **facts)
    except Exception as error:  # whatever opening it raises is its state
        absent = isinstance(error.__cause__, ModuleNotFoundError) or isinstance(error, ModuleNotFoundError)
        text = error if isinstance(error, TQError) else f"{type(error).__name__}: {error}"
        return made(MISSING_DEPENDENCY if absent else BROKEN, text, **facts)
    return made(OK, manager.problems.get(candidate.distribution), **facts)


def _missing(candidate: Candidate) -> list[str]:
    """Return the requirements of a candidate's distribution that are not installed."""
    if normalized(candidate.distribution) == CORE:
        return []
    missing = []
    for name in candidate.requires:
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if normalized(name) != CORE:  # tq may run from a checkout that nobody installed
                missing.append(name)
    return missing


def _capabilities(offered: Any, candidate: Candidate) -> dict[str, tuple[Any, str]]:
    kind = candidate.kind.removesuffix("s")
    for key in (f"{kind}:{candidate.name}", kind):
        if key in offered:
            return described(offered[key])
    return {}


def _try_out(manager: PluginManager, candidate: Candidate) -> None:
    """Open what needs no server."""
    if candidate.kind == "serializers":
        serializer = manager.open_serializer(candidate.name)
        serializer.loads(serializer.dumps(b"" if candidate.name == "raw" else [1, "text", None]))
    elif candidate.kind == "pools":
        manager.pool_class(candidate.name)


def noun(kind: str) -> str:
    """Return what one of a kind is called in a sentence."""
    return NOUNS.get(kind, kind)
