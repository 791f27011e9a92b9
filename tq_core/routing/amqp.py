"""What Celery's programs find at ``app.amqp``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tq_core.routing.queues import Queues

if TYPE_CHECKING:
    from tq_core.config.queues import ExchangeSpec, QueueSpec
    from tq_core.routing.router import Router


@dataclass(frozen=True, slots=True)
class AMQP:
    """An application's queues and router.

    Attributes:
        queues: by name; ``select_add`` adds one that the worker receives from.
        router: decides where calls go.
    """

    queues: Queues
    router: Router

    @property
    def default_queue(self) -> QueueSpec:
        """The queue of calls that no route sends elsewhere."""
        return self.queues[self.queues.default_queue]

    @property
    def default_exchange(self) -> ExchangeSpec | None:
        """The exchange of that queue."""
        return self.default_queue.exchange
