"""What a run leaves in a Redis, held against the tables of keys in ``plugins/tq_redis/README.md``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tests.faults.raw_envelopes import client_of

README = Path(__file__).parents[2] / "plugins" / "tq_redis" / "README.md"

#: A place for anything in a key of the tables.
_ANYTHING = re.compile(r"<[^>]+>|[*…]")


def patterns(queues: Collection[str]) -> tuple[list[re.Pattern[str]], list[re.Pattern[str]]]:
    """Read the tables of keys.

    Args:
        queues: what ``<queue>`` stands for; anything would be too much.

    Returns:
        the keys that somebody removes, and all others, which must expire.
    """
    owned: list[re.Pattern[str]] = []
    expiring: list[re.Pattern[str]] = []
    found: list[re.Pattern[str]] | None = None
    for line in README.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            found = None
        elif cells[0].startswith("key"):
            found = owned if cells[-1] == "who removes it" else expiring
        elif found is not None:
            found += _of_cell(cells[0], queues)
    assert owned, f"{README} has no table of keys and who removes them"
    assert expiring, f"{README} has no table of keys that expire"
    return owned, expiring


def _of_cell(cell: str, queues: Collection[str]) -> Iterator[re.Pattern[str]]:
    names = re.findall(r"`([^`]+)`", cell)
    for name in names:
        # `chord.a` `.b` is short for `chord.a` `chord.b`
        whole = names[0].rpartition(".")[0] + name if name.startswith(".") else name
        literal = re.escape(whole.replace(r"\x06\x16", "\x06\x16").replace("<queue>", "\0"))
        expression = _ANYTHING.sub(".+", literal.replace(r"\<", "<").replace(r"\>", ">").replace(r"\*", "*"))
        yield re.compile(expression.replace("\0", f"(?:{'|'.join(map(re.escape, sorted(queues)))})"))


def unowned(url: str, queues: Collection[str] = ("celery",)) -> list[str]:
    """Say of everything that is left below a URL's prefix what nobody will ever remove; empty when all is well.

    Args:
        url: of tq's broker and backend; nobody may be at work there.
        queues: their names.
    """
    client, prefix = client_of(url)
    owned, expiring = patterns(queues)
    with client:
        redis: Any = client
        faults = []
        for key, rest in _lifetimes(redis, prefix):
            name = key.decode("utf-8", "surrogateescape").removeprefix(prefix)
            lasts = rest == -1  # -2 means that it has expired since it was found
            if not any(pattern.fullmatch(name) for pattern in (owned if lasts else owned + expiring)):
                faults.append(f"{name!r} {'stays for ever' if lasts else 'stands in no table'}")
        return faults + list(_dangling(redis, prefix))


def _lifetimes(redis: Any, prefix: str) -> Iterator[tuple[bytes, int]]:
    """Yield all keys with the milliseconds they have to live; after a soak there are many."""
    cursor = None
    while cursor != 0:
        cursor, keys = redis.scan(cursor or 0, match=f"{prefix}*", count=1000)
        pipeline = redis.pipeline(transaction=False)
        for key in keys:
            pipeline.pttl(key)
        yield from zip(keys, pipeline.execute(), strict=True)


def _dangling(redis: Any, prefix: str) -> Iterator[str]:
    """Yield what is noted on one side only: each of these is a leak, or a message that nobody will find."""
    held, due = set(), set()
    consumers = set(redis.zrange(f"{prefix}tq:consumers", 0, -1))
    for key in redis.scan_iter(match=f"{prefix}tq:held:*", count=1000):
        if key.rpartition(b":")[2] not in consumers:
            yield f"{key!r} belongs to no consumer"
        held |= set(redis.hkeys(key))
    for key in redis.scan_iter(match=f"{prefix}tq:due:*", count=1000):
        due |= {member.partition(b":")[2] for member in redis.zrange(key, 0, -1)}
    if consumers != set(redis.hkeys(f"{prefix}tq:names")):
        yield "consumers and their names differ"
    messages, times = set(redis.hkeys(f"{prefix}unacked")), set(redis.zrange(f"{prefix}unacked_index", 0, -1))
    if messages != times:
        yield f"noted once: {sorted(messages ^ times)[:5]}"
    if messages != held | due:
        yield f"neither held nor waiting, or the reverse: {sorted(messages ^ (held | due))[:5]}"
