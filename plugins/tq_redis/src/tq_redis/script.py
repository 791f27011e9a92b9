"""Lua scripts: their text in files beside this one, their name on the server by SHA-1."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files


class Script:
    """One script.

    Attributes:
        text: its source.
        sha: what EVALSHA calls it by.
    """

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@cache
def script(*names: str) -> Script:
    """Load ``scripts/<name>.lua``; several are joined, because scripts of Redis cannot call one another."""
    folder = files("tq_redis") / "scripts"
    return Script("\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names))
