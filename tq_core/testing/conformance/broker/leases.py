"""Leases, fencing, orphans and successions, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable

from tq_core.contracts.broker import Ack, Broker, Consumer
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.patience import nothing, take
from tq_core.testing.conformance.promises import promise


class LeaseChecks(BrokerGround):
    """Leases, fencing, orphans and successions, in one process."""

    @promise("leases.return", "a dead consumer's messages come back, redelivered and counted", needs="lease")
    def test_a_dead_consumers_messages_come_back(
        self, broker: Broker, other: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([self.message("a"), self.message("b")])
        dead = open_consumer()
        taken = take(dead, 2)
        again = take(open_consumer(on=other), 2)
        assert sorted(ids(again)) == ["a", "b"]
        assert all(d.redelivered and not d.orphaned for d in again)
        if broker.capabilities.delivery_count:
            assert [d.delivery_count for d in again] == [2, 2]
        lost = dead.settle([Ack(d.tag) for d in taken])
        assert sorted(map(repr, lost)) == sorted(repr(d.tag) for d in taken)

    @promise("leases.renew", "a renewed lease is kept, however long it takes", needs="lease")
    def test_a_renewed_lease_is_kept_however_long_it_takes(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([self.message()])
        alive, rival = open_consumer(), open_consumer()
        (delivery,) = take(alive, 1)
        end = time.monotonic() + 1.8 * self.LEASE
        while time.monotonic() < end:
            assert rival.receive(1, self.LEASE / 8) == []
            alive.renew()
            rival.renew()
        assert list(alive.settle([Ack(delivery.tag)])) == []

    @promise(
        "leases.fencing",
        "a consumer that slept through its lease can settle nothing, and goes on receiving",
        needs="lease",
    )
    def test_a_consumer_that_lost_its_lease_goes_on_receiving(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([self.message("lost")])
        sleeper, rival = open_consumer(), open_consumer()
        (late,) = take(sleeper, 1)
        (taken,) = take(rival, 1)
        rival.settle([Ack(taken.tag)])
        assert list(sleeper.settle([Ack(late.tag)])) == [late.tag]
        rival.close()
        broker.publish([self.message("new")])
        (fresh,) = take(sleeper, 1)
        assert fresh.message is not None
        assert fresh.message.id == "new"
        assert list(sleeper.settle([Ack(fresh.tag)])) == []

    @promise("leases.begun", "a begun message is not run again", needs="lease")
    def test_a_begun_message_is_not_run_again(self, broker: Broker, open_consumer: Callable[..., Consumer]) -> None:
        broker.publish([self.message("begun"), self.message("reserved")])
        dying = open_consumer()
        begun, _ = take(dying, 2)
        dying.begin([begun.tag])
        if not broker.capabilities.orphans:
            dying.close()
            assert ids(take(open_consumer(), 1)) == ["reserved"]
            assert nothing(open_consumer())
            return
        again = {d.message.id: d for d in take(open_consumer(), 2) if d.message}
        assert again["begun"].orphaned
        assert not again["reserved"].orphaned

    @promise("leases.begun-settled", "a begun message is held until it is settled", needs="orphans")
    def test_a_begun_message_is_still_to_be_settled(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message()])
        (delivery,) = take(consumer, 1)
        consumer.begin([delivery.tag])
        assert list(consumer.settle([Ack(delivery.tag)])) == []
        assert list(consumer.settle([Ack(delivery.tag)])) == [delivery.tag]

    @promise("leases.orphan", "an orphan stays one until it is settled", needs="orphans")
    def test_an_orphan_stays_one_until_it_is_settled(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([self.message("x")])
        dead = open_consumer(consumer_id=self.name("dead"))
        (delivery,) = take(dead, 1)
        dead.begin([delivery.tag])
        broker.succeed(self.name("dead")).close()
        finder = open_consumer()
        (orphan,) = take(finder, 1)
        assert orphan.orphaned
        finder.close()
        heir = open_consumer()
        (orphan,) = take(heir, 1)
        assert orphan.orphaned
        assert list(heir.settle([Ack(orphan.tag)])) == []
        assert nothing(heir)

    @promise(
        "leases.succession",
        "a succession hands over what the dead consumer held, and fences it",
        needs=("lease", "orphans"),
    )
    def test_a_succession_hands_over_what_the_dead_consumer_held(
        self, broker: Broker, other: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([self.message("begun"), self.message("reserved"), self.message("free")])
        dead = open_consumer(consumer_id=self.name("dead"))
        taken = take(dead, 2)
        dead.begin([taken[0].tag])
        succession = other.succeed(self.name("dead"))
        held = {d.message.id: d for d in succession.held() if d.message}
        assert {name: d.orphaned for name, d in held.items()} == {"begun": True, "reserved": False}
        assert sorted(map(repr, dead.settle([Ack(d.tag) for d in taken]))) == sorted(repr(d.tag) for d in taken)
        assert list(succession.settle([Ack(held["begun"].tag)], [self.message("follow-up")])) == []
        succession.close()
        again = take(open_consumer(), 3)
        assert sorted(ids(again)) == ["follow-up", "free", "reserved"]
        assert not any(d.orphaned for d in again)

    @promise("leases.succession-empty", "a succession to an unknown consumer is empty")
    def test_a_succession_to_an_unknown_consumer_is_empty(self, broker: Broker) -> None:
        succession = broker.succeed(self.name("nobody"))
        assert succession.held() == []
        succession.close()
