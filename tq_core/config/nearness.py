"""Finding the word somebody meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: object, known: Iterable[object], cutoff: float = 0.7) -> str | None:
    """Return the known word closest to a mistyped one.

    Args:
        word: what was found; anything that is no text has no neighbour.
        known: the right words; those that are no texts are skipped.
        cutoff: how alike they must be, from 0 (anything) to 1 (the same).

    Returns:
        The closest word, or None when none is close.
    """
    if not isinstance(word, str):
        return None
    import difflib

    words = [candidate for candidate in known if isinstance(candidate, str)]
    by_folded = {candidate.casefold(): candidate for candidate in reversed(words)}
    found = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None
