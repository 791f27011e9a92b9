"""Remote control: what is announced, and what is answered."""

from __future__ import annotations

import select
import time
import uuid

from tq_core.contracts.broker import Broker, Inbox
from tq_core.message import Message
from tq_core.testing.conformance.broker.ground import BrokerGround
from tq_core.testing.conformance.patience import PATIENCE
from tq_core.testing.conformance.promises import promise


def _request(text: str, exchange: str) -> Message:
    headers = {"clock": 7, "expires": 0, "ticket": text}
    return Message(text, headers, b"\x00\xff" + text.encode(), "application/x-test", "binary", "", exchange)


def _hear(inbox: Inbox, count: int) -> list[Message]:
    """Receive so many messages, or fewer when they do not come."""
    heard: list[Message] = []
    deadline = time.monotonic() + PATIENCE
    while len(heard) < count and time.monotonic() < deadline:
        heard += inbox.receive(0.1)
    return heard


def _said(messages: list[Message]) -> list[tuple[object, ...]]:
    return [(dict(m.headers), bytes(m.body), m.content_type, m.content_encoding) for m in messages]


class ControlChecks(BrokerGround):
    """Remote control."""

    @promise("control.announced", "every inbox of an exchange hears what is announced, and no other", needs="control")
    def test_every_inbox_hears_an_announcement(self, broker: Broker, other: Broker) -> None:
        exchange = self.name("pidbox")
        inboxes = [broker.inbox(exchange), other.inbox(exchange)]
        elsewhere = broker.inbox(self.name("others"))
        sent = [_request(text, exchange) for text in ("one", "two")]
        broker.announce(exchange, sent[0])
        for inbox in inboxes:
            assert _said(_hear(inbox, 1)) == _said(sent[:1]), "headers, body and content type arrive as they were"
        other.announce(exchange, sent[1])
        for inbox in inboxes:
            assert _said(_hear(inbox, 1)) == _said(sent[1:])
        assert elsewhere.receive(0) == []
        for inbox in (*inboxes, elsewhere):
            inbox.close()
            inbox.close()

    @promise("control.waited-for", "an inbox's descriptor is readable once something was announced", needs="control")
    def test_an_inbox_can_be_waited_for(self, broker: Broker, other: Broker) -> None:
        exchange = self.name("pidbox")
        inbox = broker.inbox(exchange)
        number = inbox.fileno()
        assert number is not None
        other.announce(exchange, _request("one", exchange))
        assert select.select([number], [], [], PATIENCE)[0], "nothing can be read"
        assert len(_hear(inbox, 1)) == 1
        assert inbox.receive(0) == []
        inbox.close()

    @promise("control.answered", "an answer reaches the one who collects under its key, and no other", needs="control")
    def test_an_answer_reaches_the_one_who_asked(self, broker: Broker, other: Broker) -> None:
        exchange = self.name("reply")
        keys = [str(uuid.uuid4()) for _ in range(2)]
        collectors = [broker.answers(exchange, key) for key in keys]
        answers = [_request(text, exchange) for text in ("one", "two")]
        for answer in answers:
            other.answer(exchange, keys[0], answer)
        assert _said(_hear(collectors[0], 2)) == _said(answers)
        assert collectors[1].receive(0.05) == []
        for collector in collectors:
            collector.close()
            collector.close()

    @promise("control.nobody", "announcing and answering to nobody is no error", needs="control")
    def test_nobody_need_listen(self, broker: Broker) -> None:
        exchange, reply, key = self.name("pidbox"), self.name("reply"), str(uuid.uuid4())
        broker.inbox(exchange).close()
        broker.announce(exchange, _request("one", exchange))
        broker.answers(reply, key).close()
        broker.answer(reply, key, _request("one", reply))
