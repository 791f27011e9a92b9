"""One row of the table of settings."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tq_core.config.mistake import WrongValue


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of a setting.

    Attributes:
        name: a word for the reference page.
        expected: what a right value is, in words that follow "expected".
        schema: the JSON Schema of its form in a YAML file.
        coerce: makes the value programs see from the value a user gave; raises ``WrongValue``. It accepts
            what Python files and environment variables hold as well: tuples, timedeltas, numbers in quotes,
            objects.
        structured: True if an environment variable holds it in YAML's flow style (``{a: 1}``, ``[a, b]``).
    """

    name: str
    expected: str
    schema: Mapping[str, Any]
    coerce: Callable[[Any], Any]
    structured: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: the lower-case name, the one reported everywhere.
        kind: what its values are.
        default: the value of a configuration that says nothing.
        doc: one sentence.
        old_names: upper-case names of earlier generations that mean the same.
        reloadable: True if a running worker takes a new value on reload.
        secret: True if the value must never be printed.
        nullable: True if None is a value; always so where None is the default.
        section: the heading it stands under in the reference.
    """

    name: str
    kind: Kind
    default: Any
    doc: str
    old_names: tuple[str, ...] = ()
    reloadable: bool = False
    secret: bool = False
    nullable: bool = False
    section: str = ""

    def fresh_default(self) -> Any:
        """Return the default, copied where a program could change it."""
        return copy.deepcopy(self.default) if isinstance(self.default, (dict, list)) else self.default

    def coerce(self, value: Any) -> Any:
        """Turn what a user gave into what programs see.

        Raises:
            WrongValue: it is not what the setting wants.
        """
        if value is None and (self.nullable or self.default is None):
            return None
        return self.kind.coerce(value)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the setting's value in a YAML file."""
        schema = dict(self.kind.schema)
        if not (self.nullable or self.default is None) or not schema:
            return schema
        if isinstance(schema.get("type"), str) and "enum" not in schema:
            return {**schema, "type": [schema["type"], "null"]}
        return {"anyOf": [schema, {"type": "null"}]}

    def wrong(self, value: Any) -> WrongValue:
        """Return the complaint about a value that is wrong as a whole."""
        return WrongValue(self.kind.expected, value)
