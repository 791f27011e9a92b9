"""Opening and closing a broker."""

from __future__ import annotations

from tq_core.contracts.broker import Broker
from tq_core.testing.conformance.broker.ground import BrokerGround
from tq_core.testing.conformance.promises import promise


class ConnectionChecks(BrokerGround):
    """Opening and closing a broker."""

    @promise("connection.connects", "connect() returns when the broker answers")
    def test_connects(self, broker: Broker) -> None:
        broker.connect(5.0)

    @promise("connection.close-twice", "closing twice is harmless")
    def test_closing_twice_is_harmless(self, broker: Broker) -> None:
        broker.publish([self.message()])
        broker.close()
        broker.close()
