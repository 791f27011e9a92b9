"""What a dead consumer left, in the hands of whoever saw it die."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tq_core.contracts.broker import Settlement, Succession
from tq_core.errors import BrokerError
from tq_core.message import Delivery, Message
from tq_redis.holding import Holding
from tq_redis.server import HELD, Server


class RedisSuccession(Succession):
    """A succession.

    Its own lease is not renewed: when its owner dies as well, the messages go back by themselves.
    """

    def __init__(self, server: Server, holding: Holding) -> None:
        self._server = server
        self._holding = holding
        self._closed = False

    def held(self) -> list[Delivery]:
        items = self._server.run(HELD, self._holding.fence)
        return self._holding.adopt(
            (items[at], items[at + 1], items[at + 2], items[at + 3].decode(), items[at + 4] != b"H")
            for at in range(0, len(items), 5)
        )

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        return self._holding.settle(settlements, follow_ups)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with suppress(BrokerError):  # then the heir's lease runs out instead
            self._holding.give_back(counted=True)
