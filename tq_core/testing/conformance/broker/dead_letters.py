"""Dead letters."""

from __future__ import annotations

import time

from tq_core.contracts.broker import Broker, Bury, Consumer
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.patience import nothing, take
from tq_core.testing.conformance.promises import promise


class DeadLetterChecks(BrokerGround):
    """Dead letters."""

    @promise("dead-letters.kept", "a buried message is kept with its reason", needs="dead_letters")
    def test_a_buried_message_is_kept_with_its_reason(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("bad", body=b"the body")])
        (delivery,) = take(consumer, 1)
        before = time.time()
        assert list(consumer.settle([Bury(delivery.tag, "unknown task", "Traceback …")])) == []
        assert nothing(consumer)
        (letter,) = broker.dead_letters(queue=self.q)
        assert letter.message is not None
        assert (letter.message.id, bytes(letter.message.body), letter.queue) == ("bad", b"the body", self.q)
        assert (letter.reason, letter.traceback) == ("unknown task", "Traceback …")
        assert before - 5 <= letter.buried_at <= time.time() + 5
        assert broker.dead_letter(letter.letter_id) == letter
        if broker.capabilities.delivery_count:
            assert letter.delivery_count == 1

    @promise("dead-letters.listed", "dead letters are listed newest first, and by queue", needs="dead_letters")
    def test_dead_letters_are_listed_newest_first_and_by_queue(self, broker: Broker) -> None:
        for n in range(5):
            message = self.message(str(n), "even" if n % 2 == 0 else "odd")
            broker.bury(message.queue, message, "why")
        everywhere = [letter for letter in broker.dead_letters(limit=1000) if self.token in letter.queue]
        assert ids(everywhere) == ["4", "3", "2", "1", "0"]
        assert ids(list(broker.dead_letters(queue=self.name("even")))) == ["4", "2", "0"]
        assert ids(list(broker.dead_letters(queue=self.name("even"), limit=2))) == ["4", "2"]
        assert len(list(broker.dead_letters(limit=2))) == 2

    @promise("dead-letters.exhume", "an exhumed message is back in its queue, as new", needs="dead_letters")
    def test_an_exhumed_message_is_fresh(self, broker: Broker, consumer: Consumer) -> None:
        broker.publish([self.message("back")])
        (delivery,) = take(consumer, 1)
        consumer.settle([Bury(delivery.tag, "why")])
        (letter,) = broker.dead_letters(queue=self.q)
        assert broker.exhume([letter.letter_id, letter.letter_id + "9"]) == 1
        assert list(broker.dead_letters(queue=self.q)) == []
        (again,) = take(consumer, 1)
        assert (again.message.id, again.queue) == ("back", self.q)  # type: ignore[union-attr]  # readable
        assert (again.delivery_count, again.redelivered) == (1, False)

    @promise("dead-letters.drop", "a dropped dead letter is gone", needs="dead_letters")
    def test_a_dropped_dead_letter_is_gone(self, broker: Broker, consumer: Consumer) -> None:
        letter_id = broker.bury(self.q, self.message(), "why")
        assert broker.drop_dead([letter_id]) == 1
        assert broker.drop_dead([letter_id]) == 0
        assert broker.dead_letter(letter_id) is None
        assert nothing(consumer)
