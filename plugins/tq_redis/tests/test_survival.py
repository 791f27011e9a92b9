"""What happens when servers, connections and processes die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from redis import Redis

from tests.private_servers import private_redis
from tq_core.contracts.broker import Ack, Broker, Bury, Consumer, Requeue
from tq_core.errors import BrokerError, BrokerUnavailable, PublishError
from tq_core.message import Delivery, Message
from tq_core.testing.conformance.patience import until
from tq_core.testing.proxy import Proxy

PATIENCE = 20.0


def message(task_id: str) -> Message:
    return Message(task_id, {"id": task_id}, b"[]", queue="q", routing_key="q")


def take(consumer: Consumer, count: int) -> list[Delivery]:
    """Receive so many, as a worker does: going on after every break."""
    taken: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE
    while len(taken) < count:
        assert time.monotonic() < deadline, f"only {len(taken)} of {count} came"
        try:
            taken += consumer.receive(count - len(taken), 1.0)
        except BrokerUnavailable:
            threading.Event().wait(0.02)
    return taken


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.id for delivery in deliveries if delivery.message]


def test_everything_goes_on_after_the_server_was_killed_and_started_again() -> None:
    from tq_redis.plugin import tq_broker

    from tq_core.contracts.broker import BrokerRequest

    with private_redis() as server:
        broker = tq_broker(BrokerRequest(server.url, {}, "test@here"))
        consumer = broker.consumer(["q"], consumer_id="me")
        broker.publish([message("held"), message("waiting")])
        (held,) = take(consumer, 1)
        server.kill()
        with pytest.raises(PublishError) as refused:
            broker.publish([message("refused")])
        assert refused.value.unsent == ("refused",)
        assert not refused.value.maybe_sent
        with pytest.raises(BrokerUnavailable):
            consumer.receive(1, PATIENCE)
        server.start()
        broker.publish([message("new")])
        assert ids(take(consumer, 2)) == ["waiting", "new"]
        assert list(consumer.settle([Ack(held.tag)])) == []
        consumer.close()
        broker.close()


def test_a_cut_loses_nothing_and_repeats_nothing(open_broker: Callable[..., Broker]) -> None:
    with Proxy("127.0.0.1", 6379) as proxy:
        broker = open_broker(f"redis://{proxy.host}:{proxy.port}/15")
        consumer = broker.consumer(["q"], consumer_id="me")
        broker.publish([message(str(n)) for n in range(20)])
        taken: list[Delivery] = []
        for _ in range(10):
            taken += take(consumer, 2)
            proxy.cut()
        assert ids(taken) == [str(n) for n in range(20)]
        assert list(consumer.settle([Ack(delivery.tag) for delivery in taken])) == []
        assert broker.depth("q").held == 0


def test_messages_whose_claim_was_never_answered_are_handed_out_again(open_broker: Callable[..., Broker]) -> None:
    with Proxy("127.0.0.1", 6379) as proxy:
        options = {"socket_timeout": 0.5}
        broker = open_broker(f"redis://{proxy.host}:{proxy.port}/15", broker_transport_options=options)
        consumer = broker.consumer(["q"], consumer_id="me")
        broker.publish([message("a"), message("b")])
        proxy.swallow_replies()
        with pytest.raises(BrokerUnavailable, match=r"did not answer within 0\.5 s"):
            consumer.receive(10, 0)
        proxy.resume()
        proxy.cut()
        taken = take(consumer, 2)
        assert ids(taken) == ["a", "b"]
        assert [delivery.delivery_count for delivery in taken] == [1, 1]


def test_a_claim_that_the_network_held_back_takes_nothing_when_it_arrives(open_broker: Callable[..., Broker]) -> None:
    with Proxy("127.0.0.1", 6379) as proxy:
        options = {"socket_timeout": 0.5}
        broker = open_broker(f"redis://{proxy.host}:{proxy.port}/15", broker_transport_options=options)
        straight = open_broker()
        consumer = broker.consumer(["q"], consumer_id="me")
        straight.publish([message("held")])
        (held,) = take(consumer, 1)
        proxy.stall()
        with pytest.raises(BrokerUnavailable):
            consumer.receive(10, 0)
        proxy.resume()
        straight.publish([message("a"), message("b")])
        assert ids(take(consumer, 2)) == ["a", "b"]
        assert straight.depth("q").held == 3
        assert list(consumer.settle([Ack(held.tag)])) == []
        assert straight.depth("q").held == 2


def test_a_publish_whose_answer_was_lost_says_that_it_may_have_been_sent(open_broker: Callable[..., Broker]) -> None:
    with Proxy("127.0.0.1", 6379) as proxy:
        options = {"socket_timeout": 0.5}
        broker = open_broker(f"redis://{proxy.host}:{proxy.port}/15", broker_transport_options=options)
        broker.publish([message("first")])
        proxy.swallow_replies()
        with pytest.raises(PublishError) as error:
            broker.publish([message("second")])
        assert error.value.unsent == ("second",)
        assert error.value.maybe_sent
        proxy.resume()


def test_who_publishes_waits_no_longer_than_broker_publish_timeout(open_broker: Callable[..., Broker]) -> None:
    with Proxy("127.0.0.1", 6379) as proxy:
        broker = open_broker(f"redis://{proxy.host}:{proxy.port}/15", broker_publish_timeout=0.5)
        broker.publish([message("first")])
        proxy.stall()
        with pytest.raises(PublishError, match=r"did not answer within 0\.5 s"):
            broker.publish([message("second")])
        proxy.resume()
        broker.publish([message("third")])


def test_a_waiting_receiver_notices_a_half_open_connection(open_broker: Callable[..., Broker]) -> None:
    with Proxy("127.0.0.1", 6379) as proxy:
        broker = open_broker(f"redis://{proxy.host}:{proxy.port}/15")
        consumer = broker.consumer(["q"], consumer_id="me")
        ended = threading.Event()

        def wait() -> None:
            try:
                consumer.receive(1, 600.0)
            except BrokerUnavailable:
                ended.set()

        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        proxy.wait_for_connections(3, PATIENCE)
        proxy.stall()
        assert ended.wait(PATIENCE), "it still waits"
        proxy.resume()
        waiter.join(PATIENCE)
        open_broker().publish([message("after")])
        assert ids(take(consumer, 1)) == ["after"]


def test_a_message_of_any_step_ends_the_wait(open_broker: Callable[..., Broker], redis: Redis, prefix: str) -> None:
    consumer = open_broker().consumer(["q", "r"], consumer_id="me")
    for name in ("q", "q\x06\x163", "r\x06\x169", "q\x06\x166"):
        got: list[Delivery] = []
        waiter = threading.Thread(target=lambda got=got: got.extend(consumer.receive(1, 600.0)))  # type: ignore[misc]  # bound
        waiter.start()
        redis.lpush(prefix + name, "from elsewhere")
        waiter.join(PATIENCE)
        assert [delivery.raw for delivery in got] == [b"from elsewhere"]
        consumer.settle([Ack(got[0].tag)])


def test_an_idle_consumer_waits_inside_the_server(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str
) -> None:
    broker = open_broker(broker_transport_options={"client_name": prefix})
    consumer = broker.consumer(["q"], consumer_id="me")
    got: list[Delivery] = []
    waiter = threading.Thread(target=lambda: got.extend(consumer.receive(1, 600.0)))
    waiter.start()

    def waits() -> int:
        mine = [client for client in redis.client_list() if client["name"] == prefix]
        return sum(client["cmd"] == "blmove" and "b" in client["flags"] for client in mine)

    until(lambda: waits() == 4, "it does not wait for each list of the queue")
    broker.publish([message("x")])
    waiter.join(PATIENCE)
    assert ids(got) == ["x"]


def test_a_due_message_that_somebody_else_moves_was_not_delivered_before(open_broker: Callable[..., Broker]) -> None:
    broker = open_broker()
    broker.consumer(["q"], consumer_id="gone").close()
    bystander = broker.consumer(["r"], consumer_id="bystander")
    broker.publish([Message("x", {"id": "x"}, b"[]", queue="q", routing_key="q", due=time.time() + 0.2)])
    assert broker.depth("q").parked == 1

    def moved() -> bool:
        bystander.renew()
        return broker.depth("q").ready == 1

    until(moved, "nobody moved it")
    (delivery,) = take(broker.consumer(["q"], consumer_id="me"), 1)
    assert (delivery.delivery_count, delivery.redelivered) == (1, False)


def test_a_killed_process_is_noticed_and_its_messages_come_back(
    open_broker: Callable[..., Broker], prefix: str
) -> None:
    code = f"""
from tq_core.contracts.broker import BrokerRequest
from tq_redis.plugin import tq_broker
settings = {{"lease_duration": 1.0, "broker_transport_options": {{"global_keyprefix": {prefix!r}}}}}
broker = tq_broker(BrokerRequest("redis://127.0.0.1:6379/15", settings, "child@here"))
consumer = broker.consumer(["q"], consumer_id="child")
begun, held = consumer.receive(2, 20)
consumer.begin([begun.tag])
print("ready", flush=True)
input()
"""
    broker = open_broker(lease_duration=1.0)
    broker.publish([message("begun"), message("held")])
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    again = {d.message.id: d for d in take(broker.consumer(["q"], consumer_id="survivor"), 2) if d.message}
    assert again["begun"].orphaned
    assert not again["held"].orphaned
    assert again["held"].delivery_count == 2


def test_a_forked_child_opens_connections_of_its_own(open_broker: Callable[..., Broker]) -> None:
    broker = open_broker()
    broker.publish([message("parent")])
    pid = os.fork()
    if pid == 0:
        try:
            broker.publish([message("child")])
        except BrokerError:
            os._exit(1)
        os._exit(0)
    broker.publish([message("parent again")])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert broker.depth("q").ready == 3


def test_nothing_is_left_of_what_was_done(open_broker: Callable[..., Broker], redis: Redis, prefix: str) -> None:
    broker = open_broker()
    consumer = broker.consumer(["q"], consumer_id="me")
    broker.publish([message(str(n)) for n in range(10)])
    consumer.settle([Ack(delivery.tag) for delivery in take(consumer, 10)])
    consumer.renew()
    consumer.close()
    broker.listen("news").close()
    left = {key.decode().removeprefix(prefix) for key in redis.scan_iter(match=prefix + "*")}
    bindings = {"_kombu.binding.q", "_kombu.binding_permanent.q"}
    # The names of the queues, when each was last served, a counter, and a time that expires.
    assert left == {"tq:queues", "tq:served", "tq:fence", "tq:swept", *bindings}


def test_no_error_tells_the_password(open_broker: Callable[..., Broker]) -> None:
    broker = open_broker("redis://somebody:hunter2@127.0.0.1:6379/15")
    with pytest.raises(BrokerUnavailable) as error:
        broker.connect(5.0)
    assert "hunter2" not in f"{error.value} {error.value.__cause__!r}"
    assert "refused the user or password" in str(error.value)


def test_silence_while_the_server_was_away_kills_nobody(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str
) -> None:
    broker = open_broker()
    sleeper, rival = (broker.consumer(["q"], consumer_id=name) for name in ("sleeper", "rival"))
    broker.publish([message("x")])
    (held,) = take(sleeper, 1)
    # As after a minute in which nobody reached the server.
    before = time.time() - 60
    redis.set(prefix + "tq:swept", before)
    redis.zadd(prefix + "tq:consumers", dict.fromkeys(redis.zrange(prefix + "tq:consumers", 0, -1), before))
    rival.renew()
    assert list(sleeper.settle([Ack(held.tag)])) == []


def test_an_exhumed_message_that_had_been_returned_is_counted_from_one(open_broker: Callable[..., Broker]) -> None:
    broker = open_broker()
    consumer = broker.consumer(["q"], consumer_id="me")
    broker.publish([message("x")])
    consumer.settle([Requeue(take(consumer, 1)[0].tag)])
    consumer.settle([Bury(take(consumer, 1)[0].tag, "why")])
    (letter,) = broker.dead_letters()
    assert letter.delivery_count == 2
    broker.exhume([letter.letter_id])
    assert take(consumer, 1)[0].delivery_count == 1
