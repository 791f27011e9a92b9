"""Blocking calls beside a running event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tq_core.contracts.broker import Ack, Broker, Consumer
from tq_core.message import Delivery
from tq_core.testing.conformance.beside_loop import beside_a_loop
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.patience import take
from tq_core.testing.conformance.promises import promise


class LoopChecks(BrokerGround):
    """Blocking calls beside a running event loop."""

    @promise("asyncio.threads", "calls may block in threads beside a running event loop, which goes on")
    def test_calls_block_in_threads_beside_a_loop(
        self, broker: Broker, other: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        def consume() -> list[Delivery]:
            consumer = open_consumer()
            deliveries = consumer.receive(1, 600.0)
            consumer.settle([Ack(delivery.tag) for delivery in deliveries])
            return deliveries

        got = beside_a_loop(consume, lambda: other.publish([self.message("late")]))
        assert ids(got) == ["late"]

    @promise("asyncio.inside", "a call made in the loop's own thread blocks and works")
    def test_a_call_inside_a_loop_works(self, broker: Broker, open_consumer: Callable[..., Consumer]) -> None:
        async def main() -> list[str]:
            broker.publish([self.message("inside")])
            await asyncio.sleep(0)
            return ids(take(open_consumer(), 1))

        assert asyncio.run(main()) == ["inside"]
