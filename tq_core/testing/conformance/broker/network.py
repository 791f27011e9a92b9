"""Connections that break, servers that refuse and servers that say nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from tq_core.contracts.broker import Ack, Broker, Consumer
from tq_core.errors import BrokerError, BrokerUnavailable, PublishError
from tq_core.message import Delivery, Message
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.broker.ground import BrokerGround, ids
from tq_core.testing.conformance.network import BOUND, cut_ever_more_rarely, insist, proxied
from tq_core.testing.conformance.patience import PATIENCE, Thread, nothing, take
from tq_core.testing.conformance.promises import promise
from tq_core.testing.proxy import Proxy


class NetworkChecks(BrokerGround):
    """Connections that break, servers that refuse and servers that say nothing.

    ``broker`` is connected directly, and ``far`` through a proxy that misbehaves.
    """

    @pytest.fixture
    def way(self, address: Address | None) -> Iterator[tuple[Address, Proxy]]:
        """An address that leads through a proxy, and the proxy."""
        with proxied(address) as way:
            yield way

    @pytest.fixture
    def proxy(self, way: tuple[Address, Proxy]) -> Proxy:
        """The proxy."""
        return way[1]

    @pytest.fixture
    def far(self, way: tuple[Address, Proxy]) -> Iterator[Broker]:
        """A broker whose connections lead through the proxy."""
        address, proxy = way
        # A lease that outlives the time a call may take: here it is the connection that fails.
        broker = address.broker(lease_duration=2 * BOUND)
        yield broker
        proxy.resume()
        broker.close()

    @pytest.fixture
    def far_consumer(self, far: Broker) -> Consumer:
        """A consumer whose connection leads through the proxy; closed with its broker."""
        return far.consumer([self.q], consumer_id=self.name("far"))

    def publish_until_taken(self, broker: Broker, message: Message) -> int:
        """Publish again and again until the broker takes it; return how many may be in the broker."""
        maybe = 0
        unsent = {message.id}

        def publish() -> None:
            nonlocal maybe
            try:
                broker.publish([message])
            except PublishError as error:
                maybe += error.maybe_sent
                unsent.update(error.unsent)
                raise

        insist(publish)
        assert unsent == {message.id}, "the error names other messages"
        return maybe + 1

    def all_there(self, broker: Broker) -> list[str]:
        """Take everything out of the queue, by a direct connection."""
        consumer = broker.consumer([self.q], consumer_id=self.name("inspector"))
        got: list[str] = []
        while deliveries := consumer.receive(100, 0.2):
            got += ids(deliveries)
            consumer.settle([Ack(delivery.tag) for delivery in deliveries])
        consumer.close()
        return got

    def received(self, consumer: Consumer) -> list[Delivery]:
        """Receive until something comes, however often the connection fails."""
        deliveries: list[Delivery] = []
        while not deliveries:
            deliveries = insist(lambda: consumer.receive(10, 1.0))
        return deliveries

    @promise("network.cut-publish", "a connection cut between two publishes: what was taken is there, once")
    def test_a_cut_between_publishes_loses_nothing(self, broker: Broker, far: Broker, proxy: Proxy) -> None:
        most = {}
        for n in range(5):
            message = self.message(f"m{n}")
            most[message.id] = self.publish_until_taken(far, message)
            proxy.cut()
        got = self.all_there(broker)
        assert set(got) == set(most)
        assert all(got.count(name) <= allowed for name, allowed in most.items()), "a message was doubled unsaid"

    @promise("network.cut-publishing", "a connection cut in the middle of publishes: the errors say what may be there")
    def test_a_cut_in_the_middle_of_publishes(self, broker: Broker, far: Broker, proxy: Proxy) -> None:
        most: dict[str, int] = {}

        def work() -> None:
            for n in range(60):
                message = self.message(f"m{n}")
                most[message.id] = self.publish_until_taken(far, message)

        working = Thread(work)
        cut_ever_more_rarely(proxy, working)
        working.result()
        got = self.all_there(broker)
        assert set(got) == set(most), "a message that was taken is lost"
        assert all(got.count(name) <= allowed for name, allowed in most.items()), "a message was doubled unsaid"

    @promise(
        "network.cut-waiting", "a connection cut while receive() waits: it ends or goes on, and messages come again"
    )
    def test_a_cut_while_receiving(self, broker: Broker, far_consumer: Consumer, proxy: Proxy) -> None:
        assert far_consumer.receive(1, 0) == []
        receiving = Thread(lambda: self.received(far_consumer))
        assert not receiving.ended(0.2)
        proxy.cut()
        broker.publish([self.message("late")])
        assert ids(receiving.result(2 * PATIENCE)) == ["late"]

    @promise(
        "network.cut-settle", "a connection cut before settle(): the message is done with, or reported and comes again"
    )
    def test_a_cut_before_settling(
        self, broker: Broker, far_consumer: Consumer, proxy: Proxy, open_consumer: Callable[..., Consumer]
    ) -> None:
        broker.publish([self.message("held")])
        (delivery,) = take(far_consumer, 1)
        proxy.cut()
        lost = list(insist(lambda: far_consumer.settle([Ack(delivery.tag)])))
        if lost:
            assert lost == [delivery.tag]
            (again,) = self.received(far_consumer)
            assert (ids([again]), again.redelivered) == (["held"], True)
            assert list(far_consumer.settle([Ack(again.tag)])) == []
        far_consumer.close()
        assert nothing(open_consumer())

    @promise("network.refused", "a server that refuses connections: typed errors within a bound, nothing sent unsaid")
    def test_a_server_that_refuses(self, broker: Broker, far: Broker, proxy: Proxy) -> None:
        far.connect(5.0)
        proxy.refuse()
        error = self.refusal(far)
        with pytest.raises(BrokerUnavailable):
            Thread(lambda: far.connect(1.0)).result(BOUND)
        got = self.all_there(broker)
        assert got.count("refused") <= error.maybe_sent
        proxy.resume()
        insist(lambda: far.connect(5.0))
        far.publish([self.message("after")])
        assert self.all_there(broker) == ["after"]

    @promise("network.silent", "a server that says nothing: every call ends within a bound, and works again afterwards")
    def test_a_server_that_says_nothing(
        self, broker: Broker, far: Broker, far_consumer: Consumer, proxy: Proxy
    ) -> None:
        broker.publish([self.message("held")])
        (delivery,) = take(far_consumer, 1)
        proxy.stall()
        calls: list[Callable[[], object]] = [
            lambda: far_consumer.receive(1, 0.5),
            lambda: far_consumer.settle([Ack(delivery.tag)]),
            far_consumer.renew,
        ]
        error = self.refusal(far)
        for call in calls:
            self.ends(call)
        proxy.resume()
        insist(lambda: far.connect(5.0))
        insist(lambda: far_consumer.settle([Ack(delivery.tag)]))
        far_consumer.close()
        got = [name for name in self.all_there(broker) if name != "held"]
        assert got.count("refused") == len(got) <= error.maybe_sent
        self.publish_until_taken(far, self.message("after"))
        assert set(self.all_there(broker)) == {"after"}

    @promise("network.unanswered", "an answer that is lost: publish() succeeds once, or says that it may have")
    def test_an_answer_that_is_lost(self, broker: Broker, far: Broker, proxy: Proxy) -> None:
        far.publish([self.message("before")])
        proxy.swallow_replies()
        denied: PublishError | None = None
        try:
            Thread(lambda: far.publish([self.message("unanswered")])).result(BOUND)
        except PublishError as error:
            denied = error
        proxy.resume()
        proxy.cut()
        insist(lambda: far.connect(5.0))
        count = self.all_there(broker).count("unanswered")
        assert count == 1 if denied is None else count <= denied.maybe_sent, "the broker has it, the error denies it"
        assert denied is None or denied.unsent == ("unanswered",)

    @promise("network.secret", "errors about the connection do not show the password")
    def test_errors_hide_the_password(self, way: tuple[Address, Proxy]) -> None:
        address, proxy = way
        scheme, _, rest = address.url.partition("://")
        secret = replace(address, url=f"{scheme}://somebody:s3cr3t-w0rd@{rest.rpartition('@')[2]}")
        proxy.refuse()
        broker = secret.broker()
        with pytest.raises(BrokerError) as refused:
            Thread(lambda: broker.connect(1.0)).result(BOUND)
        broker.close()
        assert "s3cr3t-w0rd" not in str(refused.value) + repr(refused.value) + repr(broker)

    def refusal(self, far: Broker) -> PublishError:
        """Publish the message ``refused``, which must fail within the bound, and return the error."""
        with pytest.raises(PublishError) as refused:
            Thread(lambda: far.publish([self.message("refused")])).result(BOUND)
        assert refused.value.unsent == ("refused",)
        return refused.value

    @staticmethod
    def ends(call: Callable[[], object]) -> None:
        """Make sure that a call returns or raises ``BrokerUnavailable`` within the bound."""
        with suppress(BrokerUnavailable):
            Thread(call).result(BOUND)
