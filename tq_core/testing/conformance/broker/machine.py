"""Any sequence of calls, compared with a model (made up by hypothesis)."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tq_core.contracts.broker import Ack, Broker, Bury, Consumer, Park, Requeue
from tq_core.message import Delivery
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.broker.ground import BrokerGround, message
from tq_core.testing.conformance.broker.model import BrokerModel, Modelled
from tq_core.testing.conformance.patience import nothing, take
from tq_core.testing.conformance.promises import promise

#: Seconds until a message is due that some later step waits for, and one that no step waits for.
SOON, FAR = 0.03, 3600.0

_words = st.sampled_from(["one", "two"])
_priorities = st.sampled_from([None, 0, 5, 9])
_dues = st.sampled_from([None, None, -1.0, SOON, FAR])
_endings = st.sampled_from(["ack", "requeue", "requeue uncounted", "park soon", "park far", "bury"])


def _ending(word: str, tag: Any) -> Ack | Requeue | Park | Bury:
    match word:
        case "requeue":
            return Requeue(tag)
        case "requeue uncounted":
            return Requeue(tag, uncounted=True)
        case "park soon":
            return Park(tag, time.time() + SOON)
        case "park far":
            return Park(tag, time.time() + FAR)
        case "bury":
            return Bury(tag, "why")
        case _:
            return Ack(tag)


class _Hand:
    """A consumer of the machine's and what it should hold."""

    def __init__(self, consumer: Consumer, consumer_id: str) -> None:
        self.consumer = consumer
        self.id = consumer_id
        self.held: list[tuple[Delivery, Modelled]] = []


class BrokerMachine(RuleBasedStateMachine):
    """Publishes, receives, settles and so on as hypothesis likes.

    Args:
        broker: with queues of any content; the machine uses names of its own.
    """

    def __init__(self, broker: Broker) -> None:
        super().__init__()
        self.broker = broker
        self.able = broker.capabilities
        self.model = BrokerModel(self.able)
        self.token = uuid.uuid4().hex[:10]
        self.queues = tuple(f"conformance-{self.token}-{word}" for word in ("one", "two"))
        self._numbers = itertools.count(1)
        self.hands = [self._open(), self._open()]

    def _open(self) -> _Hand:
        consumer_id = f"conformance-{self.token}-{next(self._numbers)}"
        return _Hand(self.broker.consumer(self.queues, consumer_id=consumer_id), consumer_id)

    def _queue(self, word: str) -> str:
        return f"conformance-{self.token}-{word}"

    def _may(self, entry: Modelled, word: str) -> bool:
        """Tell whether a message may be given an ending: what is orphaned must not come again."""
        if word == "bury":
            return self.able.dead_letters
        if word.startswith("park") and not self.able.due_time:
            return False
        return not entry.orphaned

    def _holding(self, which: int) -> _Hand | None:
        """Return a consumer that holds something, this one if it can be; None when nothing is to be had.

        Rules ask for it in their bodies: what a rule may do depends on what the broker handed out and when, and
        hypothesis must not draw other values for that.
        """
        if not any(hand.held for hand in self.hands):
            self.receive(which, 3)
        return next((hand for hand in (self.hands[which], *self.hands) if hand.held), None)

    # --- messages in

    @initialize(words=st.lists(_words, min_size=1, max_size=5))
    def begin_with_some(self, words: list[str]) -> None:
        """Publish a few plain messages, so that there is something to do."""
        for word in words:
            self.publish(word, None, None, 1)

    @rule(word=_words, priority=_priorities, due=_dues, count=st.integers(1, 5))
    def publish(self, word: str, priority: int | None, due: float | None, count: int) -> None:
        """Publish a batch."""
        when = None if due is None else time.time() + due
        batch = [
            message(f"m{next(self._numbers)}", self._queue(word), priority=priority, due=when, body=b"\x00body")
            for _ in range(count)
        ]
        self.broker.publish(batch)
        for one in batch:
            self.model.publish(one)

    # --- messages out

    @rule(which=st.integers(0, 1), limit=st.integers(1, 5))
    def receive(self, which: int, limit: int) -> None:
        """Receive some, or make sure that there are none."""
        hand = self.hands[which]
        available = self.model.available(self.queues, time.time() - 0.01)
        if not available:
            deliveries = hand.consumer.receive(limit, 0)  # what fell due this very moment may come or not
        else:
            deliveries = take(hand.consumer, min(limit, len(available)))
        self._took(hand, deliveries)

    def _took(self, hand: _Hand, deliveries: list[Delivery]) -> None:
        for queue in self.queues:
            mine = [delivery for delivery in deliveries if delivery.queue == queue]
            hand.held += zip(mine, self.model.take(queue, mine), strict=True)
        assert all(delivery.queue in self.queues for delivery in deliveries)

    @rule(which=st.integers(0, 1), count=st.integers(1, 3))
    def begin(self, which: int, count: int) -> None:
        """Begin some of what is held."""
        hand = self._holding(which)
        if hand is None:
            return
        fresh = [(delivery, entry) for delivery, entry in hand.held if not entry.orphaned and not entry.begun]
        hand.consumer.begin([delivery.tag for delivery, _ in fresh[:count]])
        for pair in fresh[:count]:
            if self.able.orphans:
                pair[1].begun = True
            else:
                hand.held.remove(pair)  # the broker forgets it now

    @rule(which=st.integers(0, 1), words=st.lists(_endings, min_size=1, max_size=4), follow_up=st.booleans())
    def settle(self, which: int, words: list[str], follow_up: bool) -> None:
        """Give some of what is held endings, with or without a follow-up."""
        hand = self._holding(which)
        if hand is None:
            return
        follow_ups = [message(f"f{next(self._numbers)}", self.queues[0])] if follow_up else []
        endings = []
        for word, (delivery, entry) in zip(words, hand.held, strict=False):
            endings.append(_ending(word if self._may(entry, word) else "ack", delivery.tag))
        assert list(hand.consumer.settle(endings, follow_ups)) == []
        settled, hand.held = hand.held[: len(endings)], hand.held[len(endings) :]
        for (_, entry), ending in zip(settled, endings, strict=True):
            self.model.settle(entry, ending)
        for one in follow_ups:
            self.model.publish(one)

    @rule(which=st.integers(0, 1), word=st.sampled_from(["requeue", "requeue uncounted", "park soon"]))
    def hand_back(self, which: int, word: str) -> None:
        """Return a single message, which other steps then take again."""
        self.settle(which, [word], False)

    # --- consumers

    @rule(which=st.integers(0, 1))
    def close(self, which: int) -> None:
        """Close a consumer and open another one."""
        hand = self.hands[which]
        hand.consumer.close()
        for _, entry in hand.held:
            self.model.give_back(entry)
        self.hands[which] = self._open()

    @precondition(lambda self: self.able.lease)
    @rule(which=st.integers(0, 1), settled=st.integers(0, 3))
    def succeed(self, which: int, settled: int) -> None:
        """Treat a consumer as dead: take over what it held, ack some of that, and fence it."""
        hand = self.hands[which]
        succession = self.broker.succeed(hand.id)
        inherited = succession.held()
        assert sorted(d.message.id for d in inherited if d.message) == sorted(e.message.id for _, e in hand.held)
        by_id = {entry.message.id: entry for _, entry in hand.held}
        acked = inherited[:settled]
        for delivery in inherited:
            assert delivery.message is not None
            entry = by_id[delivery.message.id]
            assert delivery.orphaned == (entry.begun or entry.orphaned)
        assert list(succession.settle([Ack(delivery.tag) for delivery in acked])) == []
        succession.close()
        late = hand.consumer.settle([Ack(delivery.tag) for delivery, _ in hand.held])
        assert len(late) == len(hand.held), "a dead consumer could settle what was taken from it"
        gone = {delivery.message.id for delivery in acked if delivery.message}
        for _, entry in hand.held:
            if entry.message.id not in gone:
                self.model.bereave(entry)
        hand.consumer.close()
        self.hands[which] = self._open()

    # --- queues

    @precondition(lambda self: self.able.pause)
    @rule(word=_words)
    def pause_or_resume(self, word: str) -> None:
        """Pause a queue, or end its pause."""
        queue = self._queue(word)
        if queue in self.model.paused:
            self.broker.resume(queue)
            self.model.paused.discard(queue)
        else:
            self.broker.pause(queue)
            self.model.paused.add(queue)

    @precondition(lambda self: self.able.purge)
    @rule(word=_words)
    def purge(self, word: str) -> None:
        """Empty a queue."""
        queue = self._queue(word)
        assert self.broker.purge(queue) == len(self.model.waiting.pop(queue, []))

    @precondition(lambda self: self.able.move)
    @rule(word=_words)
    def move(self, word: str) -> None:
        """Move what waits in one queue to the other."""
        source = self._queue(word)
        (target,) = (queue for queue in self.queues if queue != source)
        assert self.broker.move(source, target) == self.model.move(source, target)

    @precondition(lambda self: self.able.dead_letters)
    @rule(word=_words)
    def bury(self, word: str) -> None:
        """Bury a message that nobody holds."""
        buried = message(f"b{next(self._numbers)}", self._queue(word))
        self.broker.bury(buried.queue, buried, "why")
        self.model.buried.append(Modelled(buried, 0))

    @precondition(lambda self: self.able.dead_letters)
    @rule(which=st.integers(0, 5), drop=st.booleans())
    def exhume(self, which: int, drop: bool) -> None:
        """Put a dead letter back, or drop it."""
        if not self.model.buried:
            return
        entry = self.model.buried[which % len(self.model.buried)]
        letters = self.broker.dead_letters(queue=entry.message.queue)
        (letter,) = [x for x in letters if x.message and x.message.id == entry.message.id]
        if drop:
            assert self.broker.drop_dead([letter.letter_id]) == 1
            self.model.buried.remove(entry)
        else:
            assert self.broker.exhume([letter.letter_id]) == 1
            self.model.exhume(entry)

    def _soon(self) -> list[float]:
        horizon = time.time() + 1
        return [e.due for entries in self.model.waiting.values() for e in entries if e.due and e.due < horizon]

    @rule()
    def let_time_pass(self) -> None:
        """Wait until what is due soon is due."""
        if soon := self._soon():
            threading.Event().wait(max(max(soon) + 0.012 - time.time(), 0))

    # --- what holds after every step

    @invariant()
    def leases_are_kept(self) -> None:
        """Keep the consumers alive."""
        for hand in self.hands:
            hand.consumer.renew()

    @precondition(lambda self: self.able.depth)
    @invariant()
    def counts_agree(self) -> None:
        """Compare the depth of each queue; what falls due this moment may be ready or parked."""
        for queue in self.queues:
            depth = self.broker.depth(queue)
            held = sum(entry.message.queue == queue for hand in self.hands for _, entry in hand.held)
            waiting = len(self.model.waiting.get(queue, ()))
            assert (depth.ready + depth.parked, depth.held) == (waiting, held)

    @precondition(lambda self: self.able.dead_letters)
    @invariant()
    def dead_letters_agree(self) -> None:
        """Compare the dead letters of each queue."""
        for queue in self.queues:
            found = sorted(x.message.id for x in self.broker.dead_letters(queue=queue) if x.message)
            assert found == sorted(e.message.id for e in self.model.buried if e.message.queue == queue)

    def teardown(self) -> None:
        """Take out everything that must come, and make sure that nothing else does."""
        for which in range(len(self.hands)):
            self.close(which)
        for queue in list(self.model.paused):
            self.broker.resume(queue)
            self.model.paused.discard(queue)
        self.let_time_pass()
        hand = self.hands[0]
        expected = len(self.model.available(self.queues, time.time()))
        self._took(hand, take(hand.consumer, expected) if expected else [])
        assert nothing(hand.consumer)
        hand.consumer.settle([Ack(delivery.tag) for delivery, _ in hand.held])
        for one in self.hands:
            one.consumer.close()
        self._tidy()

    def _tidy(self) -> None:
        for queue in self.queues:
            if self.able.purge:
                self.broker.purge(queue)
            if self.able.dead_letters:
                self.broker.drop_dead([letter.letter_id for letter in self.broker.dead_letters(queue=queue)])


class ModelChecks(BrokerGround):
    """Any sequence of calls, compared with a model."""

    #: How many sequences are tried of how many calls; short ones first, since they tell more when they fail.
    SEQUENCES: ClassVar[Sequence[tuple[int, int]]] = ((30, 8), (60, 25))

    @pytest.fixture
    def patient(self, broker: Broker, address: Address | None) -> Broker:
        """The broker with leases that do not run out, where it can be opened so."""
        return broker if address is None else address.broker(lease_duration=600.0)

    @promise("model.sequences", "after any sequence of calls the queues hold what they should (made up by hypothesis)")
    def test_any_sequence_of_calls_agrees_with_the_model(self, patient: Broker) -> None:
        try:
            for sequences, calls in self.SEQUENCES:
                run_state_machine_as_test(
                    lambda: BrokerMachine(patient),  # type: ignore[arg-type]  # anything that makes a machine will do
                    settings=self._steady(sequences, calls),
                )
        finally:
            patient.close()

    @staticmethod
    def _steady(sequences: int, calls: int) -> settings:
        return settings(
            max_examples=sequences,
            stateful_step_count=calls,
            # The same sequences in every run, so that a run proves the same today and tomorrow.
            derandomize=True,
            database=None,
            deadline=None,
            # A failed sequence may have waited its time out; to try hundreds of shorter ones would take minutes.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
