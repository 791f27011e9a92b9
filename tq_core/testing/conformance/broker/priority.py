"""Priorities."""

from __future__ import annotations

from tq_core.contracts.broker import Broker, Consumer
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.patience import take
from tq_core.testing.conformance.promises import promise


class PriorityChecks(BrokerGround):
    """Priorities."""

    @promise("priority.order", "urgent messages come first, equal ones in their order", needs="priority")
    def test_urgent_messages_come_first(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message(f"{p}{x}", priority=p) for x in "ab" for p in (5, 0, 9)])
        got = ids(take(consumer, 6))
        expected = ["9a", "9b", "5a", "5b", "0a", "0b"]
        if broker.capabilities.priority_order == "low_first":
            expected = ["0a", "0b", "5a", "5b", "9a", "9b"]
        assert got == expected

    @promise("priority.kept", "a message keeps its priority", needs="priority")
    def test_a_message_keeps_its_priority(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("p", priority=7)])
        (delivery,) = take(consumer, 1)
        assert delivery.message is not None
        assert delivery.message.priority == 7
