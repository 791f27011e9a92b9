"""``kill -9`` between each pair of a consumer's calls, and in the middle of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from tq_core.contracts.broker import Ack, Broker, Bury, Consumer, Park, Requeue
from tq_core.message import Delivery
from tq_core.testing.conformance.actor import Actor
from tq_core.testing.conformance.broker import troupe
from tq_core.testing.conformance.broker.ground import ids
from tq_core.testing.conformance.broker.processes import ActorGround
from tq_core.testing.conformance.patience import nothing, take
from tq_core.testing.conformance.promises import promise


class CrashChecks(ActorGround):
    """``kill -9`` between each pair of a consumer's calls, and in the middle of them."""

    def killed_holding(self, actor: Callable[[], Actor], count: int, *deeds: tuple[object, ...]) -> None:
        """Let another process receive ``count`` messages and do some deeds; kill it, and take over what needs that."""
        victim = actor()
        victim.call(troupe.receive, self.q, self.name("victim"), count)
        for function, *arguments in deeds:
            victim.call(function, *arguments)  # type: ignore[arg-type]  # each deed begins with its function
        victim.kill()

    def inherit(self, broker: Broker) -> None:
        """Do what a worker's supervisor does when one of its runners died, where no lease runs out."""
        if not broker.capabilities.lease:
            broker.succeed(self.name("victim")).close()

    def assert_repeated(self, broker: Broker, deliveries: list[Delivery]) -> None:
        """Make sure that deliveries count the one before them."""
        assert all(delivery.redelivered and not delivery.orphaned for delivery in deliveries)
        if broker.capabilities.delivery_count:
            assert [delivery.delivery_count for delivery in deliveries] == [2] * len(deliveries)

    @promise("crash.published", "killed after publish(): the messages are there, as new", needs="shared")
    def test_killed_after_publishing(self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]) -> None:
        victim = actor()
        victim.call(troupe.publish, [self.message("a"), self.message("b")])
        victim.kill()
        deliveries = take(consumer, 2)
        assert ids(deliveries) == ["a", "b"]
        assert not any(delivery.redelivered for delivery in deliveries)
        assert [delivery.delivery_count for delivery in deliveries] == [1, 1]

    @promise(
        "crash.received", "killed after receive(): what it held comes back, redelivered and counted", needs="shared"
    )
    def test_killed_after_receiving(self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]) -> None:
        broker.publish([self.message("a"), self.message("b")])
        self.killed_holding(actor, 2)
        self.inherit(broker)
        deliveries = take(consumer, 2)
        assert sorted(ids(deliveries)) == ["a", "b"]
        self.assert_repeated(broker, deliveries)

    @promise(
        "crash.begun", "killed after begin(): what was begun is not run again, the rest comes back", needs="shared"
    )
    def test_killed_after_beginning(self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]) -> None:
        broker.publish([self.message("begun"), self.message("reserved")])
        self.killed_holding(actor, 2, (troupe.begin, 0))
        self.inherit(broker)
        if broker.capabilities.orphans:
            deliveries = {d.message.id: d for d in take(consumer, 2) if d.message}
            assert {name: d.orphaned for name, d in deliveries.items()} == {"begun": True, "reserved": False}
        else:
            assert ids(take(consumer, 1)) == ["reserved"]
        assert nothing(consumer)

    @promise("crash.renewed", "killed after renew(): what it held comes back all the same", needs=("shared", "lease"))
    def test_killed_after_renewing(self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]) -> None:
        broker.publish([self.message("a")])
        self.killed_holding(actor, 1, (troupe.renew,))
        deliveries = take(consumer, 1)
        assert ids(deliveries) == ["a"]
        self.assert_repeated(broker, deliveries)

    @promise("crash.acked", "killed after an ack: the message is gone and its follow-ups are there", needs="shared")
    def test_killed_after_acking(self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]) -> None:
        broker.publish([self.message("cause")])
        self.killed_holding(actor, 1, (troupe.settle, Ack, (), [self.message("effect")]))
        self.inherit(broker)
        deliveries = take(consumer, 1)
        assert ids(deliveries) == ["effect"]
        assert not deliveries[0].redelivered
        assert nothing(consumer)

    @promise("crash.requeued", "killed after a requeue: the message is there, redelivered and counted", needs="shared")
    def test_killed_after_requeueing(self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]) -> None:
        broker.publish([self.message("a"), self.message("b")])
        self.killed_holding(actor, 1, (troupe.settle, Requeue, (), []))
        first, second = take(consumer, 2)
        assert ids([first, second]) == ["a", "b"]
        self.assert_repeated(broker, [first])
        assert not second.redelivered

    @promise(
        "crash.parked", "killed after parking: the message comes when due, uncounted", needs=("shared", "due_time")
    )
    def test_killed_after_parking(self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]) -> None:
        broker.publish([self.message("a")])
        until = time.time() + 1.0
        self.killed_holding(actor, 1, (troupe.settle, Park, (until,), []))
        (delivery,) = take(consumer, 1)
        assert time.time() >= until - 0.01
        assert (delivery.redelivered, delivery.delivery_count) == (False, 1)

    @promise("crash.buried", "killed after burying: the dead letter is kept", needs=("shared", "dead_letters"))
    def test_killed_after_burying(self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]) -> None:
        broker.publish([self.message("a")])
        self.killed_holding(actor, 1, (troupe.settle, Bury, ("why", "Traceback …"), []))
        self.inherit(broker)
        (letter,) = broker.dead_letters(queue=self.q)
        assert (letter.reason, letter.traceback) == ("why", "Traceback …")
        assert nothing(consumer)

    @promise("crash.waiting", "killed while it waits in receive(): messages go to the others", needs="shared")
    def test_killed_while_waiting(self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]) -> None:
        victim = actor()
        victim.tell(troupe.wait_for_messages, self.q, self.name("victim"))
        assert victim.answer() == "waiting"
        victim.kill()
        broker.publish([self.message("a")])
        self.inherit(broker)
        assert ids(take(consumer, 1)) == ["a"]

    @promise(
        "crash.publishing", "killed in the middle of publish(): every batch that was taken is there", needs="shared"
    )
    def test_killed_in_the_middle_of_publishing(
        self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]
    ) -> None:
        victim, size = actor(), 20
        victim.tell(troupe.publish_for_ever, self.message(), size)
        while victim.answer() < 4:
            pass
        victim.kill()
        taken = 5 + self.said_before_the_end(victim)
        got = ids(take(consumer, taken * size))
        while deliveries := consumer.receive(size, 0.2):
            got += ids(deliveries)
            consumer.renew()
        confirmed = {f"{batch}/{n}" for batch in range(taken) for n in range(size)}
        unconfirmed = [name for name in got if name not in confirmed]
        assert confirmed <= set(got)
        assert len(got) == len(set(got)), "a message was doubled"
        assert len(unconfirmed) <= size, "more than the batch in flight came beside those confirmed"

    @promise(
        "crash.settling",
        "killed in the middle of settle(): nothing is lost, and only what was held is repeated",
        needs="shared",
    )
    def test_killed_in_the_middle_of_settling(
        self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]
    ) -> None:
        sent = [self.message() for _ in range(400)]
        broker.publish(sent)
        victim = actor()
        victim.tell(troupe.drain, self.q, self.name("victim"), self.message(queue="after"))
        acked: list[str] = []
        while len(acked) < 40:
            acked += victim.answer()
        victim.kill()
        self.said_before_the_end(victim, acked)
        self.inherit(broker)
        rest = self.rest(consumer, {message.id for message in sent} - set(acked))
        assert not set(rest) & set(acked), "an acked message came again"
        assert len(rest) == len(set(rest)), "a message was doubled"
        follow_ups = self.everything(broker.consumer([self.name("after")], consumer_id=self.name("after")))
        followed = [name.removeprefix("after ") for name in follow_ups]
        assert set(acked) <= set(followed), "follow-ups of an acked message are lost"
        if broker.capabilities.atomic_settle:
            assert not set(followed) & set(rest), "a message came again, although its follow-up was published"
            assert set(followed) | set(rest) == {message.id for message in sent}

    def rest(self, consumer: Consumer, expected: set[str]) -> list[str]:
        """Take what is left, until all that must come has come or nothing more does.

        One batch may have been settled although its answer was not heard any more.
        """
        got: list[str] = []
        quiet_until = time.monotonic() + 3 * self.LEASE
        while time.monotonic() < quiet_until and set(got) != expected:
            deliveries = consumer.receive(50, 0.1)
            consumer.settle([Ack(delivery.tag) for delivery in deliveries])
            consumer.renew()
            got += ids(deliveries)
            if deliveries:
                quiet_until = time.monotonic() + 3 * self.LEASE
        missing = expected - set(got)
        assert len(missing) <= 7, f"{len(missing)} messages are lost"
        return got

    def everything(self, consumer: Consumer) -> list[str]:
        """Take all that a queue has."""
        got: list[str] = []
        while deliveries := consumer.receive(100, 0.2):
            consumer.settle([Ack(delivery.tag) for delivery in deliveries])
            got += ids(deliveries)
        consumer.close()
        return got

    @staticmethod
    def said_before_the_end(victim: Actor, words: list[str] | None = None) -> int:
        """Hear what a killed process had said; return how many things that were."""
        count = 0
        while True:
            try:
                said = victim.answer()
            except (EOFError, OSError):
                return count
            count += 1
            if words is not None:
                words += said
