"""How a plugin states what it can do: one flag, one sentence.

The same flags are read by the core at start-up, by ``tq plugins show`` and by the conformance kit: what is
declared is tested, what is not declared is announced as skipped.
"""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any


def capability(sentence: str, default: Any = False) -> Any:
    """Declare one field of a capabilities dataclass.

    Args:
        sentence: what the plugin promises when the flag is set.
        default: the value of a plugin that says nothing.
    """
    return field(default=default, metadata={"sentence": sentence})


def described(capabilities: Any) -> dict[str, tuple[Any, str]]:
    """Map each capability's name to its value and its sentence."""
    return {f.name: (getattr(capabilities, f.name), f.metadata["sentence"]) for f in fields(capabilities)}
