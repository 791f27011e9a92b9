"""Writes the skeleton of a new plugin: a package that installs, is found, and keeps the promises it makes.

The skeletons are the files below ``templates/``: those of ``common`` and those of the contract, with ``$name`` and the
like to be filled in. They work in memory, and their comments say what to replace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template

from tq_core.errors import ImproperlyConfigured
from tq_core.plugin.catalogue import GROUPS, NOUNS, Catalogue, normalized
from tq_core.plugin.known import KNOWN

#: Contract → what stands in ``celeryconfig.yaml`` of those who use such a plugin.
USAGE: Mapping[str, str] = {
    "broker": "broker_url: $name://",
    "backend": "result_backend: $name://",
    "serializer": "task_serializer: $name\nresult_serializer: $name\naccept_content: [json, $name]",
    "pool": "worker_pool: $name",
    "schedule_store": "# the scheduler opens it as $name://",
}

_TEMPLATES = Path(__file__).with_name("templates")
_SUFFIX = ".in"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_skeleton(contract: str, name: str, directory: Path, catalogue: Catalogue) -> list[Path]:
    """Write a new plugin.

    Args:
        contract: a key of :data:`USAGE`.
        name: what settings will call it; the distribution is ``tq-`` and this.
        directory: where ``pyproject.toml`` comes to stand; made if need be.
        catalogue: what is installed, so that the name can be a new one.

    Returns:
        the files written, sorted.

    Raises:
        ImproperlyConfigured: the name cannot be used, or the directory is not empty; nothing was written.
        OSError: a file cannot be written.
    """
    _require_new_name(contract, name, catalogue)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ImproperlyConfigured(f"{directory} exists and is not an empty directory; name another: --directory PATH")
    words = _words(contract, name)
    written = []
    for template, place in _templates(contract):
        target = directory / str(place).replace("package", words["package"])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(template.read_text("utf-8")).substitute(words), "utf-8")
        written.append(target)
    return sorted(written)


def distribution_of(name: str) -> str:
    """Return the name of the distribution that a new plugin becomes."""
    return f"tq-{name}"


def _require_new_name(contract: str, name: str, catalogue: Catalogue) -> None:
    if not _NAME.fullmatch(name):
        raise ImproperlyConfigured(
            f"{name!r} cannot be a plugin's name: take lower-case letters and digits, beginning with a letter, with"
            " single hyphens in between"
        )
    if name.startswith("tq-"):
        raise ImproperlyConfigured(
            f"the distribution is called {distribution_of('NAME')} by itself; give the name alone: {name[3:]}"
        )
    kind = f"{contract}s"
    for candidate in catalogue.candidates(kind, name):
        raise ImproperlyConfigured(f"the {NOUNS[kind]} {name!r} is offered by {candidate} already; take another name")
    distribution = distribution_of(name)
    taken = {candidate.distribution for candidate in catalogue} | {
        d for names in KNOWN.values() for d in names.values()
    }
    if distribution in {normalized(each) for each in taken}:
        raise ImproperlyConfigured(f"there is a distribution {distribution} already; take another name")


def _words(contract: str, name: str) -> dict[str, str]:
    title = "".join(part.capitalize() for part in name.split("-"))
    return {
        "name": name,
        "title": title,
        "distribution": distribution_of(name),
        "package": distribution_of(name).replace("-", "_"),
        "module": contract,
        "noun": NOUNS[f"{contract}s"],
        "group": GROUPS[f"{contract}s"],
        "usage": Template(USAGE[contract]).substitute(name=name),
        "address": name if contract in ("serializer", "pool") else f"{name}://",
    }


def _templates(contract: str) -> Iterator[tuple[Path, Path]]:
    """Yield each template with the place of what it becomes."""
    for root in (_TEMPLATES / "common", _TEMPLATES / contract):
        for template in sorted(root.rglob(f"*{_SUFFIX}")):
            yield template, template.relative_to(root).with_suffix("")
