"""Pausing queues."""

from __future__ import annotations

from collections.abc import Callable

from tq_core.contracts.broker import Broker, Consumer
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.patience import Thread, nothing, take
from tq_core.testing.conformance.promises import promise


class PauseChecks(BrokerGround):
    """Pausing queues."""

    @promise("pause.stops", "a paused queue hands out nothing to anybody", needs="pause")
    def test_a_paused_queue_hands_out_nothing(
        self, broker: Broker, other: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        consumer = open_consumer("q", "open")
        broker.pause(self.q)
        assert self.q in other.paused()
        other.publish([self.message("waits"), self.message("flows", "open")])
        assert ids(take(consumer, 1)) == ["flows"]
        assert nothing(consumer)
        broker.resume(self.q)
        assert self.q not in broker.paused()
        assert ids(take(consumer, 1)) == ["waits"]

    @promise("pause.resume", "resume() ends the wait of a receiver", needs="pause")
    def test_resume_ends_the_wait_of_a_receiver(self, broker: Broker, consumer: Consumer) -> None:
        broker.pause(self.q)
        broker.publish([self.message("x")])
        receiving = Thread(lambda: take(consumer, 1))
        assert not receiving.ended(0.3)
        broker.resume(self.q)
        assert ids(receiving.result()) == ["x"]
