"""What ``tq doctor`` finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass

#: As it should be · needs attention · could not be told.
OK, PROBLEM, SKIPPED = "ok", "problem", "skipped"
#: What stands before a finding's line.
SIGNS = {OK: "ok  ", PROBLEM: "!!  ", SKIPPED: "--  "}


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: what was looked at.
        state: one of the words above.
        sentence: what was found.
        advice: what to do about it, or an empty text.
    """

    check: str
    state: str
    sentence: str
    advice: str = ""

    def as_mapping(self) -> dict[str, str]:
        """Return the finding as plain data."""
        return asdict(self)


def good(check: str, sentence: str) -> Finding:
    """Return the finding of a check that found nothing wrong."""
    return Finding(check, OK, sentence)


def problem(check: str, sentence: str, advice: str = "") -> Finding:
    """Return the finding of a check that found something."""
    return Finding(check, PROBLEM, sentence, advice)


def skipped(check: str, sentence: str) -> Finding:
    """Return the finding of a check that cannot tell."""
    return Finding(check, SKIPPED, sentence)
