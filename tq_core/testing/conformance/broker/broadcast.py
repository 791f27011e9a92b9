"""Broadcasts."""

from __future__ import annotations

import time

from tq_core.contracts.broker import Broker
from tq_core.testing.conformance.broker.ground import BrokerGround
from tq_core.testing.conformance.patience import PATIENCE, Thread
from tq_core.testing.conformance.promises import promise


class BroadcastChecks(BrokerGround):
    """Broadcasts."""

    @promise("broadcast.all", "every listener of a channel hears a broadcast, and no other", needs="broadcast")
    def test_every_listener_hears_a_broadcast(self, broker: Broker, other: Broker) -> None:
        first, second, elsewhere = (
            broker.listen(self.name("news")),
            other.listen(self.name("news")),
            broker.listen(self.name("sport")),
        )
        broker.broadcast(self.name("news"), b"\x00one")
        other.broadcast(self.name("news"), b"two")
        for listener in (first, second):
            heard: list[bytes] = []
            while len(heard) < 2:
                payloads = listener.receive(PATIENCE)
                assert payloads, "the broadcast did not arrive"
                heard += payloads
            assert heard == [b"\x00one", b"two"]
        assert elsewhere.receive(0) == []
        for listener in (first, second, elsewhere):
            listener.close()
            listener.close()

    @promise("broadcast.from-now", "a listener hears nothing from before it listened", needs="broadcast")
    def test_a_listener_hears_nothing_from_before_it_listened(self, broker: Broker) -> None:
        broker.broadcast(self.name("news"), b"nobody listens")
        listener = broker.listen(self.name("news"))
        assert listener.receive(0.05) == []
        broker.broadcast(self.name("news"), b"now")
        assert listener.receive(PATIENCE) == [b"now"]
        listener.close()

    @promise("broadcast.wake", "wake() ends the wait of a listener", needs="broadcast")
    def test_wake_ends_the_wait_of_a_listener(self, broker: Broker) -> None:
        listener = broker.listen(self.name("news"))
        waiting = Thread(lambda: listener.receive(600.0))
        deadline = time.monotonic() + PATIENCE
        while not waiting.ended(0.05) and time.monotonic() < deadline:
            listener.wake()
        assert waiting.result(0) == []
        listener.close()
