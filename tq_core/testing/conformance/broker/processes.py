"""Several processes at the same queues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tq_core.contracts.broker import Broker, Consumer
from tq_core.testing.conformance.actor import Actor
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.broker import troupe
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.patience import nothing, take
from tq_core.testing.conformance.promises import promise


class ActorGround(BrokerGround):
    """Checks that open the plugin in other processes."""

    @pytest.fixture
    def actor(self, address: Address | None) -> Iterator[Callable[[], Actor]]:
        """Starts processes with a broker of their own, and kills them after the test."""
        if address is None:
            pytest.skip("no fixture `address`: the plugin cannot be opened in another process")
        with ExitStack() as stack:
            yield lambda: stack.enter_context(Actor(troupe.BrokerStage, address, self.LEASE))


class ProcessChecks(ActorGround):
    """Several processes at the same queues."""

    @promise(
        "processes.both-ways", "messages go from process to process and end the wait of a receiver", needs="shared"
    )
    def test_messages_go_from_process_to_process(
        self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]
    ) -> None:
        other = actor()
        there = self.message(queue="there")
        other.tell(troupe.wait_for_messages, there.queue, self.name("waiter"))
        assert other.answer() == "waiting"
        broker.publish([there])
        assert other.answer() == [there.id]
        other.call(troupe.publish, [self.message("back", body=b"\x00" + bytes(range(256)))])
        (delivery,) = take(consumer, 1)
        assert delivery.message is not None
        assert (delivery.message.id, bytes(delivery.message.body)) == ("back", b"\x00" + bytes(range(256)))

    @promise("processes.once", "of consumers in several processes, one gets each message", needs="shared")
    def test_of_several_processes_one_gets_each_message(self, broker: Broker, actor: Callable[[], Actor]) -> None:
        sent = [self.message() for _ in range(600)]
        broker.publish(sent)
        actors = [actor() for _ in range(3)]
        for n, one in enumerate(actors):
            one.tell(troupe.drain, self.q, self.name(f"drain-{n}"))
        acked: list[str] = []
        for one in actors:
            told: list[str] = []
            # The batches that were told, and then all of them again as the call's answer.
            while (batch := one.answer()) != told:
                told += batch
            acked += told
        assert sorted(acked) == sorted(message.id for message in sent)

    @promise("processes.broadcast", "a broadcast is heard in another process", needs=("shared", "broadcast"))
    def test_a_broadcast_is_heard_in_another_process(self, broker: Broker, actor: Callable[[], Actor]) -> None:
        other = actor()
        other.tell(troupe.hear, self.name("news"), 2)
        assert other.answer() == "listening"
        broker.broadcast(self.name("news"), b"one")
        broker.broadcast(self.name("news"), b"\x00\xfftwo")
        assert other.answer() == [b"one", b"\x00\xfftwo"]

    @promise(
        "processes.pause", "a pause holds in every process and outlives the one that asked", needs=("shared", "pause")
    )
    def test_a_pause_outlives_its_process(self, broker: Broker, consumer: Consumer, actor: Callable[[], Actor]) -> None:
        broker.publish([self.message("waits")])
        other = actor()
        other.call(troupe.pause, self.q)
        other.kill()
        assert self.q in broker.paused()
        assert nothing(consumer)
        broker.resume(self.q)
        assert ids(take(consumer, 1)) == ["waits"]
