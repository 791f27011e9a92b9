"""What can be wrong with a configuration, and the errors that say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tq_core.errors import ImproperlyConfigured

#: Exit status of every command that refuses to start because of its configuration.
EXIT_INVALID = 3


@dataclass(frozen=True, slots=True)
class Position:
    """Where something was written.

    Attributes:
        file: a path, or words such as ``environment variable TQ_TIMEZONE``.
        line: counted from 1, or None where there are no lines.
        column: counted from 1, or None.
    """

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


class WrongValue(ValueError):
    """A value is not what its setting wants.

    Attributes:
        expected: what would have been right, in words.
        path: keys and indexes that lead from the setting's value to the wrong part of it.
        found: the wrong part.
        nearest: the known word closest to the one found, or None.
    """

    def __init__(
        self, expected: str, found: object, path: Sequence[str | int] = (), nearest: str | None = None
    ) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found
        self.path = tuple(path)
        self.nearest = nearest

    def __str__(self) -> str:
        where = "".join(f"[{part!r}]" for part in self.path)
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{where + ': ' if where else ''}expected {self.expected}, found {shown(self.found)}{hint}"

    def below(self, *path: str | int) -> WrongValue:
        """Return the same complaint as seen from further out: ``path`` leads to where it was raised."""
        return WrongValue(self.expected, self.found, (*path, *self.path), self.nearest)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with a configuration.

    Attributes:
        position: where it stands.
        setting: the setting it belongs to, as it was written, or an empty text.
        message: one sentence: what was found, what was expected.
        expected: what would have been right, or an empty text.
        found: what was there, printable and without secrets.
        nearest: the known name or word closest to what was found, or None.
    """

    position: Position
    setting: str
    message: str
    expected: str = ""
    found: str = ""
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{self.position}: {self.message}{hint}"


class ConfigurationInvalid(ImproperlyConfigured):
    """The configuration has mistakes.

    Attributes:
        mistakes: every one that was found, in the order of the file.
    """

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)

    def __reduce__(self) -> tuple[type[ConfigurationInvalid], tuple[tuple[Mistake, ...]]]:
        return type(self), (self.mistakes,)


def shown(value: object, limit: int = 60) -> str:
    """Write a value for a message: short, on one line, passwords masked.

    Args:
        value: anything.
        limit: characters at most.
    """
    from tq_core.config.masking import mask_value

    try:
        text = repr(mask_value(value))
    except Exception:  # a user's __repr__ may raise anything, and a message must still be written
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"
