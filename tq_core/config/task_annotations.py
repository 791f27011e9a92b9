"""The annotations of ``task_annotations``: task attributes set from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tq_core.config.mistake import WrongValue

_MAP: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "object"}}

#: The JSON Schema of ``task_annotations`` in a YAML file.
SCHEMA: dict[str, Any] = {
    "anyOf": [
        _MAP,
        {"type": "array", "items": {"anyOf": [_MAP, {"type": "string"}]}},
    ]
}


def check_annotations(value: Any) -> None:
    """Check ``task_annotations`` in any of its forms.

    Args:
        value: a mapping of task names (``*`` means every task) to mappings of attributes, an object with an
            ``annotate`` method or its dotted path, or a sequence of such.

    Raises:
        WrongValue: an entry cannot be read; its path leads to the wrong part.
    """
    if not isinstance(value, (list, tuple)):
        _check(value)
        return
    for index, entry in enumerate(value):
        try:
            _check(entry)
        except WrongValue as wrong:
            raise wrong.below(index) from None


def _check(entry: Any) -> None:
    if isinstance(entry, str) or hasattr(entry, "annotate"):
        return
    if not isinstance(entry, Mapping):
        raise WrongValue("a mapping of task names to mappings of attributes", entry)
    for name, attributes in entry.items():
        if not isinstance(name, str):
            raise WrongValue("the name of a task", name)
        if not isinstance(attributes, Mapping):
            raise WrongValue("a mapping of task attributes", attributes, (name,))
