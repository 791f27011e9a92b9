"""What a dead consumer left, in the hands of whoever saw it die."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tq_core.contracts.broker import Settlement, Succession
from tq_core.errors import BrokerError
from tq_core.message import Delivery, Message
from tq_sqlalchemy.database import Database
from tq_sqlalchemy.dialect import MessageVerbs
from tq_sqlalchemy.holding import Holding


class DatabaseSuccession(Succession):
    """A succession.

    Its own lease is not renewed: when its owner dies as well, the messages go back by themselves.
    """

    def __init__(self, database: Database, verbs: MessageVerbs, holding: Holding) -> None:
        self._database = database
        self._verbs = verbs
        self._holding = holding
        self._closed = False

    def held(self) -> list[Delivery]:
        rows = self._database.read(lambda session: self._verbs.held(session, self._holding.fence))
        deliveries: list[Delivery] = []
        for *row, queue in rows:
            deliveries += self._holding.adopt(queue, 0, [row])
        return deliveries

    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        return self._holding.settle(settlements, follow_ups)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with suppress(BrokerError):  # then the heir's lease runs out instead
            self._holding.give_back(counted=True)
