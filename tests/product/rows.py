"""The numbered promises of the product about tasks, calls, settings and logs, and which of them are not kept yet."""

from __future__ import annotations


def _between(first: int, last: int) -> list[str]:
    return [f"S{number:03}" for number in range(first, last + 1)]


#: Applications, tasks, requests, calls, results, retries, states, handlers; subtasks; settings; logs and serializers.
ROWS = (
    *_between(47, 158),
    *_between(170, 177),
    *_between(190, 211),
    *_between(231, 239),
)

#: Promises that no test shows, because nothing keeps them yet, with what is missing.
OPEN = {
    "S157": "old import paths of classes come with the drop-in package",
    "S234": "there is no scheduler of periodic tasks yet",
    "S235": "there is no scheduler of periodic tasks yet",
}
