"""Texts of arguments for logs and monitors: short, quick, and never an error.

A task's arguments may be a gigabyte, contain themselves, or have a ``__repr__`` that raises; the text
made here stays within its limit and costs no more than the limit's worth of work, whatever the value.
"""

from __future__ import annotations

from typing import Any

LIMIT = 1024
LEVELS = 3

_SIMPLE = frozenset({int, bool, type(None), float})
_FEW = 16
_SHORT = 64
_BRACKETS: dict[type[Any], str] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", dict: "{}"}


def saferepr(value: Any, limit: int = LIMIT, levels: int = LEVELS) -> str:
    """Return a text much like ``repr(value)``.

    Args:
        value: anything.
        limit: most characters of the text; what is cut off ends in ``...``.
        levels: how many containers inside each other are shown; deeper ones are ``[...]``.
    """
    kind = type(value)
    if (kind is tuple or kind is list or kind is dict) and len(value) <= _FEW:
        for item in value if kind is not dict else (*value, *value.values()):
            kind = type(item)
            if kind not in _SIMPLE and (kind is not str or len(item) > _SHORT):
                break
        else:
            try:
                text = repr(value)
            except ValueError:  # an integer of more digits than Python prints
                pass
            else:
                if len(text) <= limit:
                    return text
    writer = _Writer(limit, levels)
    writer.write(value, 0)
    text = "".join(writer.parts)
    return text if len(text) <= limit else text[: max(limit - 3, 0)] + "..."


class _Writer:
    """Collects pieces of text until there are enough."""

    __slots__ = ("levels", "parts", "room")

    def __init__(self, limit: int, levels: int) -> None:
        self.room = limit + 1  # one more than fits, so that the caller sees it was cut
        self.levels = levels
        self.parts: list[str] = []

    def put(self, text: str) -> None:
        self.parts.append(text)
        self.room -= len(text)

    def write(self, value: Any, level: int) -> None:
        kind: type[Any] = type(value)
        brackets = _BRACKETS.get(kind)
        if brackets is not None:
            if value and level >= self.levels:
                self.put(f"{brackets[0]}...{brackets[1]}")
            else:
                self.write_container(value, kind, brackets, level + 1)
        elif kind is str or kind is bytes:
            # Cut before quoting: the repr of a huge text is a second huge text.
            self.put(repr(value[: max(self.room, 0)]))
        elif kind is int and value.bit_length() > 4 * LIMIT:
            self.put(f"<int of {value.bit_length()} bits>")
        else:
            self.put(_repr(value))

    def write_container(self, value: Any, kind: type[Any], brackets: str, level: int) -> None:
        if not value:
            self.put(repr(value))
            return
        self.put(brackets[0])
        first = True
        try:
            for item in value:
                if self.room <= 0:
                    return
                if not first:
                    self.put(", ")
                first = False
                self.write(item, level)
                if kind is dict:
                    self.put(": ")
                    self.write(value[item], level)
        except (RuntimeError, KeyError):  # another thread changed the container meanwhile
            self.put("...")
        if kind is tuple and len(value) == 1:
            self.put(",")
        self.put(brackets[1])


def _repr(value: Any) -> str:
    try:
        text = repr(value)
        # A lone surrogate in a foreign repr could not be sent.
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
    except Exception as error:  # __repr__ is foreign code
        return f"<{type(value).__name__}: repr failed with {type(error).__name__}>"
