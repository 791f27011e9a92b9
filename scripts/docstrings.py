"""Reads the docstrings of this project: paragraphs, then sections with an entry for each name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):$")
_ENTRY = re.compile(r"^    (\*{0,2}\w[\w.]*(?:, \*{0,2}\w[\w.]*)*): (.*)$")
_ROLE = re.compile(r":\w+:`~?([^`]+)`")


@dataclass
class Docstring:
    """What a docstring says.

    Attributes:
        text: its paragraphs.
        args, attributes, raises: meanings, each with the names it stands beside.
        returns: what is returned.
    """

    text: list[str] = field(default_factory=list)
    args: list[tuple[str, str]] = field(default_factory=list)
    attributes: list[tuple[str, str]] = field(default_factory=list)
    raises: list[tuple[str, str]] = field(default_factory=list)
    returns: str = ""

    @property
    def summary(self) -> str:
        """Its first paragraph."""
        return self.text[0] if self.text else ""


def read(documented: object) -> Docstring:
    """Return the docstring of something, in Markdown.

    Args:
        documented: a class, a function or a property.
    """
    raw = getattr(documented, "__doc__", None) or ""
    found = Docstring()
    lines: dict[str, list[str]] = {"": []}
    section = ""
    for line in inspect.cleandoc(raw).splitlines():
        if heading := _SECTION.match(line):
            section = heading[1]
        elif line and not line.startswith(" "):
            section = ""
        lines.setdefault(section, []).append(line if not _SECTION.match(line) else "")
    found.text = [markdown(" ".join(part.split())) for part in "\n".join(lines[""]).split("\n\n") if part.strip()]
    found.args = list(_entries(lines.get("Args", [])))
    found.attributes = list(_entries(lines.get("Attributes", [])))
    found.raises = list(_entries(lines.get("Raises", [])))
    found.returns = markdown(" ".join(" ".join(lines.get("Returns", [])).split()))
    return found


def markdown(text: str) -> str:
    """Return a sentence of a docstring in Markdown."""
    text = _ROLE.sub(lambda role: f"`{role[1].rpartition('.')[2]}`", text)
    return text.replace("``", "`")


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    names, words = "", [""]
    for line in lines:
        if entry := _ENTRY.match(line):
            if names:
                yield names, markdown(" ".join(words))
            names, words = entry[1], [entry[2].strip()]
        elif line.strip():
            words.append(line.strip())
    if names:
        yield names, markdown(" ".join(words))
