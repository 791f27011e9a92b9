"""The scripts of the broker, called by what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tq_redis.keys import Keys
from tq_redis.link import Link
from tq_redis.options import TransportOptions
from tq_redis.script import script

CLAIM = script("common", "claim")
SETTLE = script("common", "letters", "sending", "settle")
PUBLISH = script("common", "sending", "publish")
REGISTER = script("common", "register")
TEND = script("common", "tend")
BEGIN = script("common", "begin")
RELEASE = script("common", "release")
INHERIT = script("common", "inherit")
HELD = script("common", "held")
DEPTH = script("common", "depth")
PEEK = script("common", "peek")
PURGE = script("common", "purge")
MOVE = script("common", "move")
BURY = script("common", "letters", "bury")
EXHUME = script("common", "letters", "exhume")


class Server:
    """The broker's side of a Redis. Any thread.

    Attributes:
        link: the way there.
        keys: names of its keys.
        options: the broker's options.
    """

    def __init__(self, link: Link, options: TransportOptions) -> None:
        self.link = link
        self.options = options
        keys = self.keys = Keys(options)
        # The lock never outlives a script of ours. In a cluster it keeps every script away from a slot that is being
        # moved to another node: because it is not there, the node refuses before anything is done (ADR 13).
        self.script_keys = (keys.unacked, keys.unacked_index, keys.unacked_mutex)
        self.script_head = (keys.prefix, options.sep, options.visibility_timeout)
        self.steps = tuple(map(str, keys.steps))
        self._letters = (options.dead_letter_limit, options.dead_letter_expires)

    def run(self, called: Any, *arguments: Any, again: bool = True) -> Any:
        """Run a script with the keys and arguments that all of them take, and these."""
        return self.link.run(called, self.script_keys, (*self.script_head, *arguments), again=again)

    def attempt(self, called: Any, *arguments: Any, again: bool = False) -> Any:
        """Like :meth:`run`, but raise :class:`~tq_redis.link.Broken`."""
        return self.link.attempt_run(called, self.script_keys, (*self.script_head, *arguments), again=again)

    def register(self, name: str, queues: Sequence[str]) -> int:
        """Register a consumer and return its fence."""
        return int(self.run(REGISTER, name, self.options.lease_duration, *queues))

    def inherit(self, name: str, heir: str) -> int:
        """Hand what a consumer held to a new registration, fence the old one, and return the new fence."""
        return int(self.run(INHERIT, name, self.options.lease_duration, heir))

    def bury(self, queue: str, step: str, reason: str, traceback: str | None, raw: bytes) -> str:
        """Bury an envelope nobody holds and return the letter's number."""
        number: bytes = self.run(
            BURY, queue, step, _text(reason), _text(traceback or ""), raw, *self._letters, again=False
        )
        return number.decode()

    def exhume(self, numbers: Sequence[str], *, back: bool) -> int:
        """Take letters out, and put them back into their queues or not; return how many there were."""
        found: int = self.run(EXHUME, "1" if back else "0", *numbers, *self._letters)
        return found

    def settle(self, fence: int, arguments: Sequence[Any]) -> list[bytes]:
        """Run the script that ends deliveries; see its head for the arguments."""
        lost: list[bytes] = self.run(SETTLE, fence, *arguments, *self._letters)
        return lost


def _text(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
