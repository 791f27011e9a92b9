"""The buried: kept with their reason, listed, put back, bounded in age and number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tq_core.contracts.broker import DeadLetter
from tq_core.message import Message
from tq_redis.envelope import message_of
from tq_redis.publishing import Outgoing
from tq_redis.server import Server

#: Letters read at a time while iterating.
_PAGE = 200


class Cemetery:
    """The dead letters of one Redis. Any thread.

    Args:
        server: where they are.
        outgoing: writes the envelopes of messages that nobody held.
    """

    def __init__(self, server: Server, outgoing: Outgoing) -> None:
        self._server = server
        self._outgoing = outgoing

    def bury(self, queue: str, message: Message, reason: str, traceback: str | None) -> str:
        """Bury a message nobody holds; return the letter's id."""
        _, step, _, _, raw = self._outgoing.arguments(message)
        return self._server.bury(queue, step, reason, traceback, raw)

    def letters(self, queue: str | None, limit: int) -> Iterator[DeadLetter]:
        """Iterate over letters, newest first, a page at a time."""
        keys, link = self._server.keys, self._server.link
        above, seen = "+inf", 0
        while limit > 0:
            # By score and not by rank, because letters may come and go meanwhile.
            page = link.call("ZREVRANGEBYSCORE", keys.dead, above, "-inf", "WITHSCORES", "LIMIT", seen, _PAGE)
            numbers, scores = page[::2], page[1::2]
            if not numbers:
                return
            texts = link.call("HMGET", keys.dead_letters, *numbers)
            for number, text in zip(numbers, texts, strict=True):
                letter = text and _letter_of(number.decode(), text)
                if letter and queue in {None, letter.queue}:
                    yield letter
                    limit -= 1
                    if limit == 0:
                        return
            last = scores[-1].decode()
            tied = sum(score == scores[-1] for score in scores)
            seen = seen + tied if last == above else tied
            above = last

    def letter(self, letter_id: str) -> DeadLetter | None:
        """Return one letter, or None."""
        text = self._server.link.call("HGET", self._server.keys.dead_letters, letter_id)
        return _letter_of(letter_id, text) if text else None

    def exhume(self, letter_ids: Sequence[str]) -> int:
        """Put letters back into their queues; return how many."""
        return self._server.exhume(letter_ids, back=True) if letter_ids else 0

    def drop(self, letter_ids: Sequence[str]) -> int:
        """Delete letters; return how many there were."""
        return self._server.exhume(letter_ids, back=False) if letter_ids else 0


def _letter_of(number: str, text: bytes) -> DeadLetter:
    head, _, raw = text.partition(b"\n")
    queue, _, reason, traceback, at, count = msgspec.json.decode(head)
    try:
        read: Message | None = message_of(raw, queue)
        rest = b""
    except ValueError:
        read, rest = None, raw
    return DeadLetter(number, queue, read, reason, float(at), traceback or None, rest, count)
