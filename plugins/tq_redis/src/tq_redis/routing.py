"""Exchanges, as far as Redis knows them: the tables of bindings that kombu keeps there.

``_kombu.binding.<exchange>`` is a set of ``routing key, pattern, queue``, joined by the separator. The pattern is empty
for a direct exchange; the exchange's type itself is not stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=1000)
def _topic(bound: str) -> re.Pattern[str]:
    words = {"*": r"[^.]+", "#": ".*"}
    return re.compile(r"\.".join(words.get(word) or re.escape(word) for word in bound.split(".")))


def bound_queues(bindings: Iterable[bytes], routing_key: str, separator: str) -> list[str]:
    """Return the queues a message goes to, sorted.

    Args:
        bindings: members of the exchange's set.
        routing_key: of the message.
        separator: ``sep`` of the transport options.
    """
    found = set()
    for binding in bindings:
        fields = binding.decode().split(separator)
        if len(fields) != 3:
            continue
        bound, pattern, queue = fields
        if bound == routing_key or (pattern and _topic(bound).fullmatch(routing_key)):
            found.add(queue)
    return sorted(found)
