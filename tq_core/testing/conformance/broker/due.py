"""Due times."""

from __future__ import annotations

import time

from tq_core.contracts.broker import Broker, Consumer, Park
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.patience import Thread, nothing, take
from tq_core.testing.conformance.promises import promise


class DueTimeChecks(BrokerGround):
    """Due times."""

    @promise("due.not-early", "a message with a due time is not handed out early", needs="due_time")
    def test_a_due_message_is_not_handed_out_early(self, broker: Broker, consumer: Consumer) -> None:
        due = time.time() + 0.5
        broker.publish([self.message("later", due=due), self.message("now")])
        assert ids(take(consumer, 1)) == ["now"]
        assert nothing(consumer)
        assert ids(take(consumer, 1)) == ["later"]
        assert time.time() >= due - 0.01

    @promise("due.past", "a message whose due time has passed comes at once", needs="due_time")
    def test_a_message_whose_due_time_passed_comes_at_once(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("past", due=time.time() - 3600)])
        assert ids(take(consumer, 1)) == ["past"]

    @promise("due.order", "due messages come in the order of their due times", needs="due_time")
    def test_due_messages_come_in_the_order_of_their_due_times(self, broker: Broker, consumer: Consumer) -> None:
        now = time.time()
        broker.publish([self.message(str(n), due=now + 0.2 + n / 10) for n in (3, 1, 0, 2)])
        assert ids(take(consumer, 4)) == ["0", "1", "2", "3"]

    @promise("due.wakes", "a waiting receiver gets a message when it is due", needs="due_time")
    def test_a_waiting_receiver_gets_a_message_when_it_is_due(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("far", due=time.time() + 3600)])
        receiving = Thread(lambda: consumer.receive(1, 600.0))
        assert not receiving.ended(0.1)
        broker.publish([self.message("near", due=time.time() + 0.3)])
        assert ids(receiving.result()) == ["near"]

    @promise("due.park", "a parked message comes back when due, uncounted", needs="due_time")
    def test_a_parked_message_comes_back_uncounted_when_due(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("x")])
        (delivery,) = take(consumer, 1)
        until = time.time() + 0.4
        assert list(consumer.settle([Park(delivery.tag, until)])) == []
        assert nothing(consumer)
        (again,) = take(consumer, 1)
        assert time.time() >= until - 0.01
        assert not again.redelivered
        if broker.capabilities.delivery_count:
            assert again.delivery_count == 1
