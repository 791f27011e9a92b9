"""Reads ``celeryconfig.yaml`` and remembers where every key and value stands."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tq_core.config.mistake import Mistake, Position
from tq_core.config.source import Entry, Source

if TYPE_CHECKING:
    import yaml

#: Ends the path of a key, where the path of its value ends with the name.
_KEY = (None,)
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\})")
#: YAML 1.1 reads 1:30 as the number 90, which nobody means in a queue name or a time.
_SEXAGESIMAL = re.compile(r"[-+]?\d[\d_]*(:[0-5]?\d)+(\.\d*)?")


def read_yaml(path: str | Path, environ: Mapping[str, str] | None = None) -> Source:
    """Read a YAML file of settings.

    ``${NAME}`` and ``${NAME:-default}`` in a value are replaced from the environment, ``$$`` is one dollar
    sign.

    Args:
        path: the file.
        environ: variables; ``os.environ`` if None.

    Returns:
        Its entries. What is no YAML, or no mapping, is in the ``mistakes``.

    Raises:
        OSError: the file cannot be opened.
    """
    import yaml

    name = str(path)
    reader = _Reader(name, os.environ if environ is None else environ)
    try:
        text = Path(path).read_text(encoding="utf-8")
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Position(name, mark.line + 1, mark.column + 1) if mark else Position(name, 1, 1)
        return Source(name, (), (Mistake(at, "", f"This is no valid YAML: {error.problem or error.context}"),))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        summary = str(error).splitlines()[0]
        return Source(name, (), (Mistake(Position(name, 1, 1), "", f"This is no valid YAML: {summary}"),))
    if document is None:
        return Source(name, (), plain=True)
    return Source(name, tuple(reader.entries(document)), tuple(reader.mistakes), plain=True)


class _Reader:
    """Turns YAML nodes into values, one file, once."""

    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        import yaml

        self._yaml = yaml
        self._constructor = yaml.constructor.SafeConstructor()
        self._resolver: Any = yaml.resolver.Resolver()
        self._file = file
        self._environ = environ
        self._open: set[int] = set()
        self.mistakes: list[Mistake] = []

    def entries(self, document: yaml.Node) -> list[Entry]:
        if not isinstance(document, self._yaml.MappingNode):
            self._mistake(document, "", "A configuration is a mapping of settings to values")
            return []
        found = []
        for name, key, value in self._pairs(document):
            inner: dict[tuple[Any, ...], Position] = {}
            found.append(Entry(str(name), self._value(value, (), inner), self._position(key), inner))
        return found

    def _pairs(self, node: yaml.MappingNode) -> list[tuple[Any, yaml.Node, yaml.Node]]:
        own: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                parents = value.value if isinstance(value, self._yaml.SequenceNode) else [value]
                for parent in parents:
                    if isinstance(parent, self._yaml.MappingNode) and id(parent) not in self._open:
                        for name, *nodes in self._pairs(parent):
                            merged.setdefault(name, (nodes[0], nodes[1]))
                continue
            # A name is text whatever YAML 1.1 makes of it, as of the key "on".
            name = key.value if isinstance(key, self._yaml.ScalarNode) else None
            if name is None:
                self._mistake(key, "", "A key is a plain text, not a list or a mapping")
            elif name in own:
                first = own[name][0].start_mark.line + 1
                self._mistake(key, name, f"{name!r} is given twice; the first is on line {first}")
            else:
                own[name] = (key, value)
        return [(name, *nodes) for name, nodes in {**merged, **own}.items()]

    def _value(self, node: yaml.Node, path: tuple[Any, ...], inner: dict[tuple[Any, ...], Position]) -> Any:
        inner[path] = self._position(node)
        if id(node) in self._open:
            self._mistake(node, "", "A value cannot contain itself")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, self._yaml.MappingNode):
                found = {}
                for name, key, value in self._pairs(node):
                    place = (*path, name)
                    inner[place + _KEY] = self._position(key)
                    found[name] = self._value(value, place, inner)
                return found
            if isinstance(node, self._yaml.SequenceNode):
                return [self._value(each, (*path, index), inner) for index, each in enumerate(node.value)]
            return self._scalar(node)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: Any) -> Any:
        text = node.value
        tag = node.tag
        if "$" in text:
            text = _VARIABLE.sub(lambda match: self._variable(node, match), text)
            if node.style is None:
                # An unquoted variable may hold a number or a truth value.
                tag = self._resolver.resolve(self._yaml.ScalarNode, text, (True, False))
        if tag.endswith((":int", ":float")) and _SEXAGESIMAL.fullmatch(text):
            return text
        try:
            scalar = self._yaml.ScalarNode(tag, text, node.start_mark, node.end_mark)
            return self._constructor.construct_object(scalar)
        except (self._yaml.YAMLError, ValueError):
            self._mistake(node, "", f"This value has a tag that is not understood: {node.tag}")
            return None

    def _variable(self, node: yaml.Node, match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return "$"
        value = self._environ.get(name) or match["default"]
        if value is None:
            value = self._environ.get(name)
        if value is None:
            self._mistake(
                node, "", f"The environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            )
            return ""
        return value

    def _position(self, node: yaml.Node) -> Position:
        return Position(self._file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _mistake(self, node: yaml.Node, setting: str, message: str) -> None:
        self.mistakes.append(Mistake(self._position(node), setting, message))
