"""The broker contract as tests. Subclass :class:`BrokerConformance` and override its ``broker`` fixture."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tq_core.contracts.broker import Ack, Broker, Bury, Consumer, Park, Requeue
from tq_core.message import Message
from tq_core.testing.conformance.patience import PATIENCE, Thread, nothing, require, take

_numbers = itertools.count(1)


def message(id_: str = "", queue: str = "q", **fields: Any) -> Message:
    """Make a small message with a unique id."""
    id_ = id_ or f"m{next(_numbers)}"
    fields.setdefault("headers", {"id": id_, "task": "conformance"})
    fields.setdefault("body", b"[[], {}, {}]")
    fields.setdefault("routing_key", queue)
    return Message(id=id_, queue=queue, **fields)


def ids(deliveries: list[Any]) -> list[str]:
    """Return the message ids of deliveries, in order."""
    return [delivery.message.id for delivery in deliveries]


class BrokerConformance:
    """Every promise of :mod:`tq_core.contracts.broker` that can be seen from outside.

    Override ``broker``: an empty broker whose leases last :attr:`LEASE` seconds (setting ``lease_duration``).
    Override ``other`` where the broker is ``shared``: a second connection to the same queues.
    """

    #: Lease in seconds the broker under test is to be opened with.
    LEASE = 1.0

    @pytest.fixture
    def broker(self) -> Iterator[Broker]:
        """An empty broker; to be overridden."""
        raise NotImplementedError("override the fixture `broker`")

    @pytest.fixture
    def other(self, broker: Broker) -> Broker:
        """A second connection to the same queues; the same one unless overridden."""
        return broker

    @pytest.fixture
    def open_consumer(self, broker: Broker) -> Iterator[Callable[..., Consumer]]:
        """Opens consumers of ``q`` and closes them after the test."""
        opened: list[Consumer] = []

        def opener(*queues: str, consumer_id: str = "", on: Broker | None = None, prefetch: int = 0) -> Consumer:
            name = consumer_id or f"consumer-{next(_numbers)}"
            consumer = (on or broker).consumer(queues or ("q",), consumer_id=name, prefetch=prefetch)
            opened.append(consumer)
            return consumer

        yield opener
        for consumer in opened:
            consumer.close()

    @pytest.fixture
    def consumer(self, open_consumer: Callable[..., Consumer]) -> Consumer:
        """A consumer of the queue ``q``."""
        return open_consumer()

    # --- connection

    def test_connects(self, broker: Broker) -> None:
        broker.connect(5.0)

    def test_closing_twice_is_harmless(self, broker: Broker) -> None:
        broker.publish([message()])
        broker.close()
        broker.close()

    # --- publish and receive

    def test_a_message_arrives_as_it_was_sent(self, broker: Broker, consumer: Consumer) -> None:
        sent = message(
            "the-id",
            headers={"id": "the-id", "lang": "py", "text": "naïve ☃", "nested": {"a": [1, None, 2.5, True]}},
            body=bytes(range(256)),
            content_type="application/x-python-serialize",
            content_encoding="binary",
            reply_to="replies",
            delivery_mode=1,
        )
        broker.publish([sent])
        (delivery,) = take(consumer, 1)
        got = delivery.message
        assert got is not None
        assert (got.id, got.queue, delivery.queue) == ("the-id", "q", "q")
        assert dict(got.headers) == sent.headers
        assert bytes(got.body) == sent.body
        assert (got.content_type, got.content_encoding) == (sent.content_type, sent.content_encoding)
        assert (got.reply_to, got.delivery_mode) == ("replies", 1)
        assert delivery.defect is None
        assert (delivery.delivery_count, delivery.redelivered, delivery.orphaned) == (1, False, False)

    def test_a_large_and_an_empty_body_arrive(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([message("large", body=b"x" * 2_000_000), message("empty", body=b"")])
        bodies = {d.message.id: bytes(d.message.body) for d in take(consumer, 2) if d.message}
        assert bodies == {"large": b"x" * 2_000_000, "empty": b""}

    def test_publishing_nothing_does_nothing(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([])
        assert nothing(consumer)

    def test_messages_come_in_the_order_they_were_published(self, broker: Broker, consumer: Consumer) -> None:
        sent = [message() for _ in range(50)]
        for batch in (sent[:20], sent[20:21], sent[21:]):
            broker.publish(batch)
        assert ids(take(consumer, 50)) == [m.id for m in sent]

    def test_two_messages_of_one_id_are_two_messages(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([message("same"), message("same")])
        assert ids(take(consumer, 2)) == ["same", "same"]

    def test_receive_takes_no_more_than_its_limit(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([message() for _ in range(5)])
        assert len(consumer.receive(2, 5.0)) <= 2

    def test_receive_does_not_wait_for_more_than_the_first(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([message("one")])
        receiving = Thread(lambda: consumer.receive(100, 600.0))
        assert ids(receiving.result()) == ["one"]

    def test_receive_returns_nothing_when_its_time_is_over(self, consumer: Consumer) -> None:
        assert consumer.receive(1, 0) == []
        assert consumer.receive(1, 0.05) == []

    def test_a_publish_ends_the_wait_of_a_receiver(self, broker: Broker, other: Broker, consumer: Consumer) -> None:
        receiving = Thread(lambda: consumer.receive(1, 600.0))
        assert not receiving.ended(0.2)
        other.publish([message("late")])
        assert ids(receiving.result()) == ["late"]

    def test_wake_ends_the_wait_of_a_receiver(self, consumer: Consumer) -> None:
        receiving = Thread(lambda: consumer.receive(1, 600.0))
        deadline = time.monotonic() + PATIENCE
        while not receiving.ended(0.05) and time.monotonic() < deadline:
            consumer.wake()
        assert receiving.result(0) == []

    def test_a_consumer_receives_from_all_its_queues_and_no_other(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        consumer = open_consumer("a", "b")
        broker.publish([message("1", "a"), message("2", "b"), message("3", "c")])
        assert sorted((d.queue, d.message.id) for d in take(consumer, 2) if d.message) == [
            ("a", "1"),
            ("b", "2"),
        ]
        assert nothing(consumer)

    def test_set_queues_changes_where_from_and_keeps_what_is_held(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        consumer = open_consumer("a")
        broker.publish([message("held", "a")])
        (held,) = take(consumer, 1)
        consumer.set_queues(["b"])
        broker.publish([message("left", "a"), message("new", "b")])
        assert ids(take(consumer, 1)) == ["new"]
        assert nothing(consumer)
        assert list(consumer.settle([Ack(held.tag)])) == []

    def test_each_message_goes_to_one_consumer(
        self, broker: Broker, other: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        sent = [message() for _ in range(300)]
        got: list[str] = []
        everything = threading.Event()
        lock = threading.Lock()

        def drain(consumer: Consumer) -> None:
            while not everything.is_set():
                deliveries = consumer.receive(7, 0.1)
                consumer.settle([Ack(d.tag) for d in deliveries])
                with lock:
                    got.extend(ids(deliveries))
                    if len(got) >= len(sent):
                        everything.set()

        consumers = [open_consumer(on=on) for on in (broker, other, broker, other)]
        threads = [Thread(lambda c=c: drain(c)) for c in consumers]  # type: ignore[misc]  # c is bound per thread
        broker.publish(sent[:150])
        other.publish(sent[150:])
        assert everything.wait(PATIENCE), f"{len(got)} of {len(sent)} messages arrived"
        for thread in threads:
            thread.result()
        assert sorted(got) == sorted(m.id for m in sent)

    def test_many_threads_may_publish_through_one_broker(self, broker: Broker, consumer: Consumer) -> None:
        batches = [[message() for _ in range(20)] for _ in range(8)]
        threads = [Thread(lambda b=b: broker.publish(b)) for b in batches]  # type: ignore[misc]  # b is bound per thread
        for thread in threads:
            thread.result()
        assert sorted(ids(take(consumer, 160))) == sorted(m.id for batch in batches for m in batch)

    # --- endings

    def test_an_acked_message_is_gone(
        self, broker: Broker, consumer: Consumer, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([message(), message()])
        assert list(consumer.settle([Ack(d.tag) for d in take(consumer, 2)])) == []
        consumer.close()
        assert nothing(open_consumer())

    def test_a_held_message_is_nobody_elses(
        self, broker: Broker, consumer: Consumer, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([message()])
        take(consumer, 1)
        assert nothing(consumer)
        assert nothing(open_consumer())

    def test_a_requeued_message_is_next_and_counted(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([message("first"), message("second")])
        (delivery,) = take(consumer, 1)
        consumer.settle([Requeue(delivery.tag)])
        first, second = take(consumer, 2)
        assert ids([first, second]) == ["first", "second"]
        assert first.redelivered
        if broker.capabilities.delivery_count:
            assert (first.delivery_count, second.delivery_count) == (2, 1)

    def test_an_uncounted_requeue_leaves_no_trace(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "delivery_count")
        broker.publish([message("first"), message("second")])
        for _ in range(3):
            (delivery,) = take(consumer, 1)
            assert (delivery.message.id, delivery.delivery_count) == ("first", 1)  # type: ignore[union-attr]  # readable
            assert not delivery.redelivered
            consumer.settle([Requeue(delivery.tag, uncounted=True)])

    def test_requeued_messages_keep_their_order(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([message("a"), message("b"), message("c")])
        deliveries = take(consumer, 2)
        consumer.settle([Requeue(d.tag, uncounted=True) for d in deliveries])
        assert ids(take(consumer, 3)) == ["a", "b", "c"]

    def test_deliveries_are_counted(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "delivery_count")
        broker.publish([message()])
        for count in (1, 2, 3):
            (delivery,) = take(consumer, 1)
            assert delivery.delivery_count == count
            consumer.settle([Requeue(delivery.tag)])

    def test_settling_twice_does_nothing_and_is_reported(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "lease")
        broker.publish([message()])
        (delivery,) = take(consumer, 1)
        assert list(consumer.settle([Ack(delivery.tag)])) == []
        assert list(consumer.settle([Requeue(delivery.tag)])) == [delivery.tag]
        assert nothing(consumer)

    def test_follow_ups_are_published_with_the_ending(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([message("cause")])
        (delivery,) = take(consumer, 1)
        consumer.settle([Ack(delivery.tag)], [message("effect"), message("second effect")])
        assert ids(take(consumer, 2)) == ["effect", "second effect"]

    def test_settling_nothing_publishes_the_follow_ups(self, consumer: Consumer) -> None:
        assert list(consumer.settle([], [message("alone")])) == []
        assert ids(take(consumer, 1)) == ["alone"]

    def test_a_closed_consumer_gives_back_uncounted(
        self, broker: Broker, consumer: Consumer, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([message("a"), message("b")])
        take(consumer, 2)
        consumer.close()
        consumer.close()
        again = take(open_consumer(), 2)
        assert ids(again) == ["a", "b"]
        if broker.capabilities.delivery_count:
            assert [d.delivery_count for d in again] == [1, 1]

    def test_a_consumer_id_can_be_used_again_after_close(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        open_consumer(consumer_id="me").close()
        broker.publish([message("x")])
        assert ids(take(open_consumer(consumer_id="me"), 1)) == ["x"]

    # --- due times

    def test_a_due_message_is_not_handed_out_early(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "due_time")
        due = time.time() + 0.5
        broker.publish([message("later", due=due), message("now")])
        assert ids(take(consumer, 1)) == ["now"]
        assert nothing(consumer)
        assert ids(take(consumer, 1)) == ["later"]
        assert time.time() >= due - 0.01

    def test_a_message_whose_due_time_passed_comes_at_once(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "due_time")
        broker.publish([message("past", due=time.time() - 3600)])
        assert ids(take(consumer, 1)) == ["past"]

    def test_due_messages_come_in_the_order_of_their_due_times(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "due_time")
        now = time.time()
        broker.publish([message(str(n), due=now + 0.2 + n / 10) for n in (3, 1, 0, 2)])
        assert ids(take(consumer, 4)) == ["0", "1", "2", "3"]

    def test_a_waiting_receiver_gets_a_message_when_it_is_due(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "due_time")
        broker.publish([message("far", due=time.time() + 3600)])
        receiving = Thread(lambda: consumer.receive(1, 600.0))
        assert not receiving.ended(0.1)
        broker.publish([message("near", due=time.time() + 0.3)])
        assert ids(receiving.result()) == ["near"]

    def test_a_parked_message_comes_back_uncounted_when_due(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "due_time")
        broker.publish([message("x")])
        (delivery,) = take(consumer, 1)
        until = time.time() + 0.4
        assert list(consumer.settle([Park(delivery.tag, until)])) == []
        assert nothing(consumer)
        (again,) = take(consumer, 1)
        assert time.time() >= until - 0.01
        assert not again.redelivered
        if broker.capabilities.delivery_count:
            assert again.delivery_count == 1

    # --- priority

    def test_urgent_messages_come_first(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "priority")
        broker.publish([message(f"{p}{x}", priority=p) for x in "ab" for p in (5, 0, 9)])
        got = ids(take(consumer, 6))
        expected = ["9a", "9b", "5a", "5b", "0a", "0b"]
        if broker.capabilities.priority_order == "low_first":
            expected = ["0a", "0b", "5a", "5b", "9a", "9b"]
        assert got == expected

    def test_a_message_keeps_its_priority(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "priority")
        broker.publish([message("p", priority=7)])
        (delivery,) = take(consumer, 1)
        assert delivery.message is not None
        assert delivery.message.priority == 7

    # --- leases and death

    def test_a_dead_consumers_messages_come_back(
        self, broker: Broker, other: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        require(broker.capabilities, "lease")
        broker.publish([message("a"), message("b")])
        dead = open_consumer()
        taken = take(dead, 2)
        again = take(open_consumer(on=other), 2)
        assert sorted(ids(again)) == ["a", "b"]
        assert all(d.redelivered and not d.orphaned for d in again)
        if broker.capabilities.delivery_count:
            assert [d.delivery_count for d in again] == [2, 2]
        lost = dead.settle([Ack(d.tag) for d in taken])
        assert sorted(map(repr, lost)) == sorted(repr(d.tag) for d in taken)

    def test_a_renewed_lease_is_kept_however_long_it_takes(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        require(broker.capabilities, "lease")
        broker.publish([message()])
        alive, rival = open_consumer(), open_consumer()
        (delivery,) = take(alive, 1)
        end = time.monotonic() + 2.5 * self.LEASE
        while time.monotonic() < end:
            assert rival.receive(1, self.LEASE / 8) == []
            alive.renew()
            rival.renew()
        assert list(alive.settle([Ack(delivery.tag)])) == []

    def test_a_consumer_that_lost_its_lease_goes_on_receiving(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        require(broker.capabilities, "lease")
        broker.publish([message("lost")])
        sleeper, rival = open_consumer(), open_consumer()
        (late,) = take(sleeper, 1)
        (taken,) = take(rival, 1)
        rival.settle([Ack(taken.tag)])
        assert list(sleeper.settle([Ack(late.tag)])) == [late.tag]
        rival.close()
        broker.publish([message("new")])
        (fresh,) = take(sleeper, 1)
        assert fresh.message is not None
        assert fresh.message.id == "new"
        assert list(sleeper.settle([Ack(fresh.tag)])) == []

    def test_a_begun_message_is_not_run_again(self, broker: Broker, open_consumer: Callable[..., Consumer]) -> None:
        broker.publish([message("begun"), message("reserved")])
        dying = open_consumer()
        begun, _ = take(dying, 2)
        dying.begin([begun.tag])
        if not broker.capabilities.orphans:
            dying.close()
            assert ids(take(open_consumer(), 1)) == ["reserved"]
            assert nothing(open_consumer())
            return
        require(broker.capabilities, "lease")
        again = {d.message.id: d for d in take(open_consumer(), 2) if d.message}
        assert again["begun"].orphaned
        assert not again["reserved"].orphaned

    def test_a_begun_message_is_still_to_be_settled(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "orphans")
        broker.publish([message()])
        (delivery,) = take(consumer, 1)
        consumer.begin([delivery.tag])
        assert list(consumer.settle([Ack(delivery.tag)])) == []
        assert list(consumer.settle([Ack(delivery.tag)])) == [delivery.tag]

    def test_an_orphan_stays_one_until_it_is_settled(
        self, broker: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        require(broker.capabilities, "orphans")
        broker.publish([message("x")])
        dead = open_consumer(consumer_id="dead")
        (delivery,) = take(dead, 1)
        dead.begin([delivery.tag])
        broker.succeed("dead").close()
        finder = open_consumer()
        (orphan,) = take(finder, 1)
        assert orphan.orphaned
        finder.close()
        heir = open_consumer()
        (orphan,) = take(heir, 1)
        assert orphan.orphaned
        assert list(heir.settle([Ack(orphan.tag)])) == []
        assert nothing(heir)

    def test_a_succession_hands_over_what_the_dead_consumer_held(
        self, broker: Broker, other: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        require(broker.capabilities, "lease", "orphans")
        broker.publish([message("begun"), message("reserved"), message("free")])
        dead = open_consumer(consumer_id="dead")
        taken = take(dead, 2)
        dead.begin([taken[0].tag])
        succession = other.succeed("dead")
        held = {d.message.id: d for d in succession.held() if d.message}
        assert {name: d.orphaned for name, d in held.items()} == {"begun": True, "reserved": False}
        assert sorted(map(repr, dead.settle([Ack(d.tag) for d in taken]))) == sorted(repr(d.tag) for d in taken)
        assert list(succession.settle([Ack(held["begun"].tag)], [message("follow-up")])) == []
        succession.close()
        again = take(open_consumer(), 3)
        assert sorted(ids(again)) == ["follow-up", "free", "reserved"]
        assert not any(d.orphaned for d in again)

    def test_a_succession_to_an_unknown_consumer_is_empty(self, broker: Broker) -> None:
        succession = broker.succeed("nobody")
        assert succession.held() == []
        succession.close()

    # --- dead letters

    def test_a_buried_message_is_kept_with_its_reason(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "dead_letters")
        broker.publish([message("bad", body=b"the body")])
        (delivery,) = take(consumer, 1)
        before = time.time()
        assert list(consumer.settle([Bury(delivery.tag, "unknown task", "Traceback …")])) == []
        assert nothing(consumer)
        (letter,) = broker.dead_letters()
        assert letter.message is not None
        assert (letter.message.id, bytes(letter.message.body), letter.queue) == ("bad", b"the body", "q")
        assert (letter.reason, letter.traceback) == ("unknown task", "Traceback …")
        assert before - 5 <= letter.buried_at <= time.time() + 5
        assert broker.dead_letter(letter.letter_id) == letter
        if broker.capabilities.delivery_count:
            assert letter.delivery_count == 1

    def test_dead_letters_are_listed_newest_first_and_by_queue(self, broker: Broker) -> None:
        require(broker.capabilities, "dead_letters")
        for n in range(5):
            broker.bury("even" if n % 2 == 0 else "odd", message(str(n)), "why")
        assert [x.message.id for x in broker.dead_letters() if x.message] == ["4", "3", "2", "1", "0"]
        assert [x.message.id for x in broker.dead_letters(queue="even") if x.message] == ["4", "2", "0"]
        assert [x.message.id for x in broker.dead_letters(limit=2) if x.message] == ["4", "3"]

    def test_an_exhumed_message_is_fresh(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "dead_letters")
        broker.publish([message("back")])
        (delivery,) = take(consumer, 1)
        consumer.settle([Bury(delivery.tag, "why")])
        (letter,) = broker.dead_letters()
        assert broker.exhume([letter.letter_id, letter.letter_id + "9"]) == 1
        assert list(broker.dead_letters()) == []
        (again,) = take(consumer, 1)
        assert (again.message.id, again.queue) == ("back", "q")  # type: ignore[union-attr]  # readable
        assert (again.delivery_count, again.redelivered) == (1, False)

    def test_a_dropped_dead_letter_is_gone(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "dead_letters")
        letter_id = broker.bury("q", message(), "why")
        assert broker.drop_dead([letter_id]) == 1
        assert broker.drop_dead([letter_id]) == 0
        assert broker.dead_letter(letter_id) is None
        assert nothing(consumer)

    # --- looking and counting

    def test_depth_counts_ready_parked_and_held(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "depth")
        empty = broker.depth("q")
        assert (empty.ready, empty.parked, empty.held) == (0, 0, 0)
        broker.publish([message() for _ in range(4)])
        if broker.capabilities.due_time:
            broker.publish([message(due=time.time() + 3600)])
        take(consumer, 1)
        depth = broker.depth("q")
        assert (depth.ready, depth.held) == (3, 1)
        assert depth.parked == (1 if broker.capabilities.due_time else 0)
        assert depth.oldest is None or depth.oldest >= 0

    def test_queues_are_listed_sorted(self, broker: Broker) -> None:
        require(broker.capabilities, "depth")
        broker.publish([message(queue="zebra"), message(queue="ape")])
        names = broker.queues()
        assert {"ape", "zebra"} <= set(names)
        assert names == sorted(names)

    def test_peek_takes_nothing(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "peek")
        broker.publish([message("a"), message("b")])
        if broker.capabilities.due_time:
            broker.publish([message("parked", due=time.time() + 3600)])
            assert ids(broker.peek("q")) == ["a", "b", "parked"]
        assert ids(broker.peek("q", 1)) == ["a"]
        assert broker.peek("unknown") == []
        assert ids(take(consumer, 2)) == ["a", "b"]

    def test_purge_drops_ready_and_parked_but_not_held(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "purge")
        broker.publish([message("held"), message("ready"), message("elsewhere", "other")])
        expected = 1
        (held,) = take(consumer, 1)
        if broker.capabilities.due_time:
            broker.publish([message(due=time.time() + 3600)])
            expected = 2
        assert broker.purge("q") == expected
        assert nothing(consumer)
        assert list(consumer.settle([Requeue(held.tag)])) == []
        assert ids(take(consumer, 1)) == ["held"]
        assert broker.purge("q") == 0

    # --- pause

    def test_a_paused_queue_hands_out_nothing(
        self, broker: Broker, other: Broker, open_consumer: Callable[..., Consumer]
    ) -> None:
        require(broker.capabilities, "pause")
        consumer = open_consumer("q", "open")
        broker.pause("q")
        assert other.paused() == ["q"]
        other.publish([message("waits"), message("flows", "open")])
        assert ids(take(consumer, 1)) == ["flows"]
        assert nothing(consumer)
        broker.resume("q")
        assert broker.paused() == []
        assert ids(take(consumer, 1)) == ["waits"]

    def test_resume_ends_the_wait_of_a_receiver(self, broker: Broker, consumer: Consumer) -> None:
        require(broker.capabilities, "pause")
        broker.pause("q")
        broker.publish([message("x")])
        receiving = Thread(lambda: take(consumer, 1))
        assert not receiving.ended(0.3)
        broker.resume("q")
        assert ids(receiving.result()) == ["x"]

    # --- broadcast

    def test_every_listener_hears_a_broadcast(self, broker: Broker, other: Broker) -> None:
        require(broker.capabilities, "broadcast")
        first, second, elsewhere = broker.listen("news"), other.listen("news"), broker.listen("sport")
        broker.broadcast("news", b"\x00one")
        other.broadcast("news", b"two")
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

    def test_a_listener_hears_nothing_from_before_it_listened(self, broker: Broker) -> None:
        require(broker.capabilities, "broadcast")
        broker.broadcast("news", b"nobody listens")
        listener = broker.listen("news")
        assert listener.receive(0.05) == []
        broker.broadcast("news", b"now")
        assert listener.receive(PATIENCE) == [b"now"]
        listener.close()

    def test_wake_ends_the_wait_of_a_listener(self, broker: Broker) -> None:
        require(broker.capabilities, "broadcast")
        listener = broker.listen("news")
        waiting = Thread(lambda: listener.receive(600.0))
        deadline = time.monotonic() + PATIENCE
        while not waiting.ended(0.05) and time.monotonic() < deadline:
            listener.wake()
        assert waiting.result(0) == []
        listener.close()
