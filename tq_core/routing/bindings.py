"""Which queues a message reaches through an exchange."""

from __future__ import annotations

from collections.abc import Sequence


def matches(kind: str, pattern: str, routing_key: str) -> bool:
    """Say whether an exchange hands a message to a queue that is bound to it.

    Args:
        kind: the exchange's type.
        pattern: the key the queue is bound with; of a topic exchange ``*`` means one word of it and ``#`` any number.
        routing_key: the message's.
    """
    if kind == "fanout":
        return True
    if kind == "topic":
        return _reaches(pattern.split("."), routing_key.split("."))
    return pattern == routing_key


def _reaches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Compare word by word, noting for each word of the pattern how many of the key may have been used up."""
    # A key without words is one empty word for split(), and none for "#" alone.
    ends = {0}
    for part in pattern:
        if part == "#":
            ends = set(range(min(ends), len(words) + 1)) if ends else set()
        else:
            ends = {at + 1 for at in ends if at < len(words) and part in ("*", words[at])}
    return len(words) in ends
