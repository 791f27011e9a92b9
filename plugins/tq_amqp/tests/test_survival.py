"""A RabbitMQ that is killed, restarted, blocked or silent, and consumers that die."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from tq_amqp.plugin import tq_broker

from tests.private_servers import PrivateRabbitMQ, private_rabbitmq
from tq_core.contracts.broker import Ack, Broker, BrokerRequest, Consumer
from tq_core.errors import BrokerError, BrokerUnavailable, PublishError
from tq_core.testing.conformance.broker import ids, message
from tq_core.testing.conformance.network import insist
from tq_core.testing.conformance.patience import nothing, take, until
from tq_core.testing.proxy import Proxy


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRabbitMQ]:
    """A RabbitMQ of the tests' own."""
    with private_rabbitmq() as server:
        yield server


@pytest.fixture
def opener(server: PrivateRabbitMQ) -> Iterator[Callable[..., Broker]]:
    """Opens brokers on it, and closes them after the test."""
    opened: list[Broker] = []

    def opener(url: str = "", **settings: object) -> Broker:
        given = {"broker_publish_timeout": 3.0, **settings}
        opened.append(tq_broker(BrokerRequest(url or server.url, given, "test@here")))
        return opened[-1]

    yield opener
    for broker in opened:
        broker.close()


def receive_until(consumer: Consumer, wanted: set[str]) -> list[str]:
    """Receive, ack and go on over errors until all of ``wanted`` came."""
    got: list[str] = []

    def step() -> bool:
        deliveries = insist(lambda: consumer.receive(100, 0.2))
        insist(lambda: consumer.settle([Ack(delivery.tag) for delivery in deliveries]))
        got.extend(ids(deliveries))
        return wanted <= set(got)

    until(step, "messages are lost")
    return got


def test_what_was_confirmed_survives_a_killed_node_with_delays_and_dead_letters(
    server: PrivateRabbitMQ, opener: Callable[..., Broker]
) -> None:
    broker = opener()
    consumer = broker.consumer(["lasting"], consumer_id="survivor")
    due = time.time() + 3
    broker.publish([message(f"m{n}", "lasting") for n in range(50)])
    broker.publish([message("later", "lasting", due=due)])
    letter = broker.bury("lasting", message("dead", "lasting"), "why")
    held = take(consumer, 3)
    server.kill()
    with pytest.raises(PublishError) as refused:
        broker.publish([message("refused", "lasting")])
    assert not refused.value.maybe_sent or "lost" in str(refused.value)
    server.start()
    got = receive_until(consumer, {f"m{n}" for n in range(50)} | {"later"})
    assert time.time() >= due - 0.01
    assert len(got) == len(set(got)), "a message was doubled"
    assert set(ids(held)) <= set(got)
    found = broker.dead_letter(letter)
    assert found is not None
    assert found.reason == "why"
    broker.drop_dead([letter])


def test_a_begun_message_stays_its_holders_over_a_restart(
    server: PrivateRabbitMQ, opener: Callable[..., Broker]
) -> None:
    broker = opener()
    mine = broker.consumer(["begun"], consumer_id="mine")
    broker.publish([message("long", "begun")])
    (delivery,) = take(mine, 1)
    mine.begin([delivery.tag])
    mine.renew()
    # Stopped, not killed: a killed node may have forgotten that the original was acknowledged, and deliver it again.
    server.stop()
    server.start()
    insist(mine.renew)
    rival = insist(lambda: broker.consumer(["begun"], consumer_id="rival"))
    end = time.monotonic() + 2
    while time.monotonic() < end:
        mine.renew()
        assert rival.receive(1, 0.1) == []
        assert mine.receive(1, 0.1) == []
    assert list(mine.settle([Ack(delivery.tag)])) == []
    assert broker.depth("begun").ready == 0


def test_a_begun_message_can_be_ended_after_a_cut_before_anything_else_is_asked(
    server: PrivateRabbitMQ, opener: Callable[..., Broker]
) -> None:
    with Proxy(server.host, server.port) as proxy:
        broker = opener(f"amqp://guest:guest@{proxy.host}:{proxy.port}//")
        consumer = broker.consumer(["cut"], consumer_id="cut")
        broker.publish([message("x", "cut")])
        (delivery,) = take(consumer, 1)
        consumer.begin([delivery.tag])
        assert consumer.receive(1, 0) == []  # what was sent before has arrived
        proxy.cut()
        # The first call may be the one that finds out; the second has to work.
        with suppress(BrokerUnavailable):
            assert list(consumer.settle([Ack(delivery.tag)])) == []
        assert list(consumer.settle([Ack(delivery.tag)])) in ([], [delivery.tag])
        consumer.close()
    rival = opener().consumer(["cut"], consumer_id="rival")
    assert nothing(rival)


def test_a_dead_holders_begun_message_comes_to_others_without_a_successor(
    server: PrivateRabbitMQ, opener: Callable[..., Broker]
) -> None:
    broker, other = opener(), opener()
    with Proxy(server.host, server.port) as proxy:
        dying = opener(f"amqp://guest:guest@{proxy.host}:{proxy.port}//").consumer(["orphans"], consumer_id="dying")
        broker.publish([message("begun", "orphans")])
        (delivery,) = take(dying, 1)
        dying.begin([delivery.tag])
        assert dying.receive(1, 0) == []  # what was sent before has arrived
        proxy.refuse()
        proxy.cut()
        consumer = other.consumer(["orphans"], consumer_id="finder")
        (orphan,) = take(consumer, 1)
    assert (ids([orphan]), orphan.orphaned) == (["begun"], True)
    assert list(consumer.settle([Ack(orphan.tag)])) == []


def test_a_server_short_of_memory_blocks_publishers_and_the_error_says_so(
    server: PrivateRabbitMQ, opener: Callable[..., Broker]
) -> None:
    broker = opener(broker_publish_timeout=1.5)
    broker.publish([message("before", "blocked")])
    server.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:

        def publish() -> PublishError | None:
            try:
                broker.publish([message("meanwhile", "blocked")])
            except PublishError as error:
                return error
            return None

        error = until(publish)
        assert "blocks publishers" in str(error)
        assert error.unsent == ("meanwhile",)
    finally:
        server.control("set_vm_memory_high_watermark", "0.4")
    insist(lambda: broker.publish([message("after", "blocked")]))
    consumer = broker.consumer(["blocked"], consumer_id="reader")
    assert "after" in receive_until(consumer, {"before", "after"})


def test_a_half_open_connection_is_noticed_while_waiting(
    server: PrivateRabbitMQ, opener: Callable[..., Broker]
) -> None:
    options = {"answer_timeout": 1.0}
    with Proxy(server.host, server.port) as proxy:
        far = opener(f"amqp://guest:guest@{proxy.host}:{proxy.port}//", broker_transport_options=options)
        consumer = far.consumer(["half"], consumer_id="half")
        assert consumer.receive(1, 0) == []
        proxy.stall()
        with pytest.raises(BrokerUnavailable, match="does not answer"):
            consumer.receive(1, 600.0)
        proxy.resume()
        opener().publish([message("x", "half")])
        assert receive_until(consumer, {"x"}) == ["x"]


def test_a_large_message_may_take_longer_than_an_answer(server: PrivateRabbitMQ, opener: Callable[..., Broker]) -> None:
    body = bytes(96 << 20)
    opener(broker_publish_timeout=60.0).publish([replace(message("large", "large"), body=body)])
    slow = opener(broker_transport_options={"answer_timeout": 0.1}, broker_publish_timeout=60.0)
    consumer = insist(lambda: slow.consumer(["large"], consumer_id="slow"))
    (delivery,) = until(lambda: insist(lambda: consumer.receive(1, 0.2)))
    assert delivery.message is not None
    assert delivery.message.body == body
    insist(lambda: consumer.settle([Ack(delivery.tag)]))


def test_the_next_node_of_a_list_is_used_when_the_first_is_away(
    server: PrivateRabbitMQ, opener: Callable[..., Broker]
) -> None:
    broker = opener(f"amqp://127.0.0.1:1//;{server.url}")
    broker.publish([message("x", "failover")])
    assert ids(take(broker.consumer(["failover"], consumer_id="c"), 1)) == ["x"]


def test_a_consumer_goes_on_at_the_next_node_when_its_own_goes_away(
    server: PrivateRabbitMQ, opener: Callable[..., Broker]
) -> None:
    with Proxy(server.host, server.port) as first:
        broker = opener(f"amqp://guest:guest@{first.host}:{first.port}//;{server.url}")
        consumer = broker.consumer(["next"], consumer_id="next")
        broker.publish([message("before", "next")])
        (held,) = take(consumer, 1)
        assert first.connections
        first.refuse()
        broker.publish([message("after", "next")])
        assert set(receive_until(consumer, {"before", "after"})) == {"before", "after"}
        assert ids([held]) == ["before"]


def test_heartbeats_keep_a_connection_while_a_task_runs(server: PrivateRabbitMQ, opener: Callable[..., Broker]) -> None:
    broker = opener(broker_transport_options={"heartbeat": 1})
    consumer = broker.consumer(["beats"], consumer_id="beats")
    broker.publish([message("x", "beats")])
    (delivery,) = take(consumer, 1)
    pause = threading.Event()
    end = time.monotonic() + 4  # twice what the server waits for
    while time.monotonic() < end:
        consumer.renew()
        pause.wait(0.3)
    assert list(consumer.settle([Ack(delivery.tag)])) == []
    assert broker.depth("beats").ready == 0


def test_nothing_of_a_closed_consumer_stays(server: PrivateRabbitMQ, opener: Callable[..., Broker]) -> None:
    broker = opener()
    consumer = broker.consumer(["tidy"], consumer_id="tidy")
    broker.publish([message("x", "tidy")])
    (delivery,) = take(consumer, 1)
    consumer.begin([delivery.tag])
    consumer.settle([Ack(delivery.tag)])
    consumer.close()
    broker.close()
    assert "tq.begun.tidy" not in server.control("list_queues", "name") + server.control("list_exchanges", "name")
    until(lambda: "tidy" not in server.control("list_connections", "client_properties"))


def test_a_deleted_queue_is_made_again(server: PrivateRabbitMQ, opener: Callable[..., Broker]) -> None:
    broker = opener()
    broker.publish([message("gone", "fleeting")])
    consumer = broker.consumer(["fleeting", "steady"], consumer_id="c")
    broker.publish([message("held", "steady")])
    held = [one for one in take(consumer, 2) if one.queue == "steady"]
    server.control("delete_queue", "fleeting")
    broker.publish([message("back", "fleeting")])

    def again() -> list[str]:
        try:
            return ids(consumer.receive(10, 0.2))
        except BrokerError:  # the old channel was closed for it
            return []

    assert until(again) == ["back"]
    assert list(consumer.settle([Ack(one.tag) for one in held])) == []
