"""Moving waiting messages from one queue to another."""

from __future__ import annotations

import time
from collections.abc import Callable

from tq_core.contracts.broker import Ack, Broker, Consumer, Requeue
from tq_core.testing.conformance.actor import Actor
from tq_core.testing.conformance.broker import troupe
from tq_core.testing.conformance.broker.ground import ids
from tq_core.testing.conformance.broker.processes import ActorGround
from tq_core.testing.conformance.patience import Thread, nothing, take
from tq_core.testing.conformance.promises import promise


class MoveChecks(ActorGround):
    """Moving waiting messages from one queue to another."""

    @property
    def target(self) -> str:
        """Where messages of :attr:`q` are moved to."""
        self._queues.add(self.name("target"))
        return self.name("target")

    @promise(
        "move.ready", "move() puts ready messages into another queue, in their order, and counts them", needs="move"
    )
    def test_ready_messages_are_moved_in_their_order(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([self.message(str(n)) for n in range(5)])
        broker.publish([self.message("elsewhere", "other")])
        assert broker.move(self.q, self.target) == 5
        consumer = open_consumer("target")
        deliveries = take(consumer, 5)
        assert ids(deliveries) == ["0", "1", "2", "3", "4"]
        assert {delivery.queue for delivery in deliveries} == {self.target}
        assert {delivery.message.queue for delivery in deliveries if delivery.message} == {self.target}
        assert not any(delivery.redelivered for delivery in deliveries)
        assert nothing(consumer)
        assert nothing(open_consumer())
        assert ids(take(open_consumer("other"), 1)) == ["elsewhere"]

    @promise("move.priority", "moved messages keep their priorities", needs=("move", "priority"))
    def test_moved_messages_keep_their_priorities(self, broker: Broker, open_consumer: Callable[..., Consumer]) -> None:
        broker.publish([self.message(f"{p}{x}", priority=p) for x in "ab" for p in (5, 0, 9)])
        broker.publish([self.message("other5", "target", priority=5), self.message("other0", "target", priority=0)])
        assert broker.move(self.q, self.target) == 6
        expected = ["9a", "9b", "5a", "5b", "0a", "0b"]
        if broker.capabilities.priority_order == "low_first":
            expected = ["0a", "0b", "5a", "5b", "9a", "9b"]
        got = take(open_consumer("target"), 8)
        assert [name for name in ids(got) if "other" not in name] == expected
        levels = [delivery.message.priority or 0 for delivery in got if delivery.message]
        assert levels == [int(name.removeprefix("other")[0]) for name in ids(got)]
        assert levels == sorted(levels, reverse=broker.capabilities.priority_order == "high_first")

    @promise("move.due", "moved messages keep their due times, and come when they are due", needs=("move", "due_time"))
    def test_moved_messages_keep_their_due_times(self, broker: Broker, open_consumer: Callable[..., Consumer]) -> None:
        due = time.time() + 2.0  # "now" is taken before, also on a busy machine
        open_consumer()  # takes nothing; some brokers keep due times only where somebody may wait for them
        consumer = open_consumer("target")
        broker.publish([self.message(str(n), due=due + n / 10) for n in (2, 0, 1)])
        broker.publish([self.message("now")])
        assert broker.move(self.q, self.target) == 4
        assert ids(take(consumer, 1)) == ["now"]
        assert ids(take(consumer, 3)) == ["0", "1", "2"]
        assert time.time() >= due - 0.01

    @promise("move.held", "what is held stays, and goes back to the queue it came from", needs="move")
    def test_what_is_held_stays(self, broker: Broker, open_consumer: Callable[..., Consumer]) -> None:
        consumer = open_consumer()
        broker.publish([self.message("held"), self.message("ready")])
        (held,) = take(consumer, 1)
        assert broker.move(self.q, self.target) == 1
        assert list(consumer.settle([Requeue(held.tag)])) == []
        assert ids(take(consumer, 1)) == ["held"]
        assert ids(take(open_consumer("target"), 1)) == ["ready"]

    @promise("move.counted", "moved messages keep the count of their deliveries", needs=("move", "delivery_count"))
    def test_moved_messages_keep_their_count(self, broker: Broker, open_consumer: Callable[..., Consumer]) -> None:
        consumer = open_consumer()
        broker.publish([self.message("again")])
        (first,) = take(consumer, 1)
        consumer.settle([Requeue(first.tag)])
        assert broker.move(self.q, self.target) == 1
        (second,) = take(open_consumer("target"), 1)
        assert (second.delivery_count, second.redelivered) == (2, True)

    @promise("move.limit", "move() moves at most so many, those that would come next", needs="move")
    def test_at_most_so_many_are_moved(self, broker: Broker, open_consumer: Callable[..., Consumer]) -> None:
        broker.publish([self.message(str(n)) for n in range(5)])
        if broker.capabilities.due_time:
            broker.publish([self.message("later", due=time.time() + 3600)])
        assert broker.move(self.q, self.target, 2) == 2
        assert ids(take(open_consumer("target"), 2)) == ["0", "1"]
        assert ids(take(open_consumer(), 3)) == ["2", "3", "4"]
        assert broker.move(self.q, self.target, 5) == (1 if broker.capabilities.due_time else 0)

    @promise("move.nothing", "moving nothing, or a queue to itself, changes nothing", needs="move")
    def test_moving_nothing_changes_nothing(self, broker: Broker, consumer: Consumer) -> None:
        assert broker.move(self.name("unknown"), self.target) == 0
        broker.publish([self.message("a"), self.message("b")])
        assert broker.move(self.q, self.q) == 0
        assert ids(take(consumer, 2)) == ["a", "b"]

    @promise("move.wakes", "a receiver that waits gets what is moved into its queue", needs="move")
    def test_a_waiting_receiver_gets_what_is_moved(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        open_consumer()  # takes nothing
        consumer = open_consumer("target")
        broker.publish([self.message("x")])
        receiving = Thread(lambda: consumer.receive(1, 600.0))
        assert not receiving.ended(0.2)
        assert broker.move(self.q, self.target) == 1
        assert ids(receiving.result()) == ["x"]
        if not broker.capabilities.due_time:
            return
        broker.publish([self.message("soon", due=time.time() + 0.6)])
        receiving = Thread(lambda: consumer.receive(1, 600.0))
        assert not receiving.ended(0.2)
        assert broker.move(self.q, self.target) == 1
        assert ids(receiving.result()) == ["soon"]

    @promise("move.many", "many messages are moved while others take some: each comes once", needs="move")
    def test_many_are_moved_while_others_take_some(
        self, broker: Broker, other: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        sent = [self.message(f"{n:04}", body=b"x" * 10_000) for n in range(2500)]
        broker.publish(sent)
        moving = Thread(lambda: broker.move(self.q, self.target))
        here, there = open_consumer(on=other), open_consumer("target", on=other)
        stayed: list[str] = []
        moved: list[str] = []
        while not moving.ended(0):
            stayed += _acked(here, 20)
            moved += _acked(there, 20)
        while some := _acked(here, 500):
            stayed += some
        while some := _acked(there, 500):
            moved += some
        assert sorted(stayed + moved) == [message.id for message in sent]
        assert moving.result() == len(moved)
        assert moved == sorted(moved)

    @promise(
        "move.killed", "killed in the middle of move(): every message is in one of the queues", needs=("move", "shared")
    )
    def test_killed_in_the_middle_of_moving(
        self, broker: Broker, open_consumer: Callable[..., Consumer], actor: Callable[[], Actor]
    ) -> None:
        due = time.time() + 3600 if broker.capabilities.due_time else None
        sent = [self.message(due=due if n % 10 == 0 else None) for n in range(2000)]
        source, target = open_consumer("q"), open_consumer("target")
        broker.publish(sent)
        victim = actor()
        victim.tell(troupe.move_to_and_fro, self.q, self.target)
        assert victim.answer() == 2000
        victim.kill()
        got = []
        for consumer in (source, target):
            while some := _acked(consumer, 500):
                got += some
        assert sorted(got) == sorted(message.id for message in sent if message.due is None)
        if due is not None and broker.capabilities.depth:
            assert broker.depth(self.q).parked + broker.depth(self.target).parked == 200


def _acked(consumer: Consumer, limit: int) -> list[str]:
    """Take and ack up to so many messages that are there now, and return their ids."""
    deliveries = consumer.receive(limit, 0)
    consumer.settle([Ack(delivery.tag) for delivery in deliveries])
    return ids(deliveries)
