"""The same queues, shared with kombu's Redis transport, which is what Celery's clients and workers use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import kombu
import pytest
from redis import Redis

from tq_core.contracts.broker import Ack, Broker
from tq_core.errors import PublishError
from tq_core.message import Delivery, Message

PATIENCE = 20.0
URL = "redis://127.0.0.1:6379/15"


@pytest.fixture
def connect(prefix: str) -> Iterator[Callable[..., kombu.Connection]]:
    """Opens kombu's connections below the test's prefix."""
    opened: list[kombu.Connection] = []

    def opener(**options: Any) -> kombu.Connection:
        opened.append(kombu.Connection(URL, transport_options={"global_keyprefix": prefix, **options}))
        return opened[-1]

    yield opener
    for connection in opened:
        connection.close()


def message(task_id: str, **fields: Any) -> Message:
    return Message(task_id, {"id": task_id, "task": "t"}, b"[[], {}, {}]", queue="q", routing_key="q", **fields)


def received(broker: Broker, count: int) -> list[Delivery]:
    """Receive and ack so many messages."""
    consumer = broker.consumer(["q"], consumer_id="me")
    taken: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE
    while len(taken) < count and time.monotonic() < deadline:
        taken += consumer.receive(count - len(taken), 1.0)
    assert list(consumer.settle([Ack(delivery.tag) for delivery in taken])) == []
    consumer.close()
    assert len(taken) == count
    return taken


def test_kombu_takes_what_we_publish(open_broker: Callable[..., Broker], connect: Callable[..., Any]) -> None:
    open_broker().publish([message(str(n), priority=n) for n in (9, 0, 5)])
    with connect().SimpleQueue("q") as queue:
        got = [queue.get(timeout=PATIENCE) for _ in range(3)]
        for one in got:
            one.ack()
    assert [one.headers["id"] for one in got] == ["0", "5", "9"]
    assert [one.payload for one in got] == [[[], {}, {}]] * 3


def test_we_take_what_kombu_publishes(
    open_broker: Callable[..., Broker], connect: Callable[..., Any], redis: Redis, prefix: str
) -> None:
    producer = kombu.Producer(connect())
    for n in (9, 0, 5):
        producer.publish(
            [[n], {}, {}], routing_key="q", headers={"id": str(n)}, correlation_id=str(n), priority=n, serializer="json"
        )
    taken = [delivery.message for delivery in received(open_broker(), 3) if delivery.message]
    assert [one.id for one in taken] == ["0", "5", "9"]
    assert (bytes(taken[0].body), taken[0].content_type) == (b"[[0], {}, {}]", "application/json")
    assert not redis.exists(prefix + "unacked", prefix + "unacked_index")


def test_we_give_back_what_a_dead_kombu_consumer_held(
    open_broker: Callable[..., Broker], connect: Callable[..., Any], redis: Redis, prefix: str
) -> None:
    open_broker().publish([message("x", priority=3)])
    with connect().SimpleQueue("q") as queue:
        queue.get(timeout=PATIENCE)
        # As if its process had died: nothing of its own gives the message back.
        (tag,) = redis.zrange(prefix + "unacked_index", 0, -1)
        redis.zadd(prefix + "unacked_index", {tag: time.time() - 10})
        (delivery,) = received(open_broker(broker_transport_options={"visibility_timeout": 5}), 1)
        queue.consumer.channel.qos.restore_unacked = lambda *_: None
        queue.consumer.channel.qos._delivered.clear()
    assert delivery.message is not None
    assert delivery.message.id == "x"
    assert delivery.redelivered
    assert not redis.exists(prefix + "unacked", prefix + "unacked_mutex")


def test_a_topic_spreads_what_we_publish_and_each_copy_is_a_message_of_its_own(
    open_broker: Callable[..., Broker], connect: Callable[..., Any]
) -> None:
    channel = connect().channel()
    topic = kombu.Exchange("topics", type="topic")
    for name, key in (("all", "feed.#"), ("one", "feed.*.new"), ("other", "mail.#")):
        kombu.Queue(name, topic, routing_key=key)(channel).declare()
    broker = open_broker()
    fields = {"exchange": "topics", "routing_key": "feed.x.new"}
    broker.publish([Message("x", {"id": "x"}, b"[]", queue="", **fields)])  # type: ignore[arg-type]  # fields are texts
    taken = broker.consumer(["all", "one", "other"], consumer_id="me").receive(10, PATIENCE)
    assert sorted(delivery.queue for delivery in taken) == ["all", "one"]
    assert len({delivery.tag[1] for delivery in taken}) == 2
    with pytest.raises(PublishError, match="no queue is bound"):
        broker.publish([Message("y", {"id": "y"}, b"[]", queue="", exchange="topics", routing_key="nobody")])


def test_kombu_gives_back_what_our_dead_consumer_held(
    open_broker: Callable[..., Broker], connect: Callable[..., Any], redis: Redis, prefix: str
) -> None:
    broker = open_broker()
    broker.publish([message("x", priority=3)])
    assert len(broker.consumer(["q"], consumer_id="dead").receive(1, PATIENCE)) == 1
    (tag,) = redis.zrange(prefix + "unacked_index", 0, -1)
    redis.zadd(prefix + "unacked_index", {tag: time.time() - 10})
    connection = connect(visibility_timeout=5)
    with connection.SimpleQueue("q") as queue:
        queue.channel.qos.restore_visible(interval=1)
        got = queue.get(timeout=PATIENCE)
        got.ack()
    assert got.headers["id"] == "x"


def test_kombu_finds_a_due_message_when_all_of_ours_are_gone(
    open_broker: Callable[..., Broker], connect: Callable[..., Any]
) -> None:
    broker = open_broker()
    broker.consumer(["q"], consumer_id="gone").close()
    due = time.time() + 0.5
    broker.publish([message("x", due=due)])
    assert broker.depth("q").parked == 1
    with connect().SimpleQueue("q") as queue:
        deadline = time.monotonic() + PATIENCE
        while True:
            queue.channel.qos.restore_visible(interval=1)
            try:
                got = queue.get(timeout=0.05)
                break
            except queue.Empty:
                assert time.monotonic() < deadline, "kombu did not find it"
        got.ack()
    assert time.time() >= due
    # What we had noted of it is not taken for another message.
    assert broker.consumer(["q"], consumer_id="late").receive(1, 0) == []


def test_a_due_message_goes_to_celery_at_once_where_no_consumer_of_ours_serves_the_queue(
    open_broker: Callable[..., Broker], connect: Callable[..., Any]
) -> None:
    open_broker().publish([message("x", due=time.time() + 3600)])
    with connect().SimpleQueue("q") as queue:
        got = queue.get(timeout=PATIENCE)
        got.ack()
    assert got.headers["id"] == "x"


def test_a_fanout_of_kombus_hears_our_broadcast(
    open_broker: Callable[..., Broker], connect: Callable[..., Any]
) -> None:
    channel = connect().channel()
    exchange = kombu.Exchange("news", type="fanout")
    heard: list[Any] = []
    listener = kombu.Consumer(
        channel, [kombu.Queue("mine", exchange)], callbacks=[lambda body, _: heard.append(body)], no_ack=True
    )
    listener.consume()
    broker = open_broker()
    subscription = broker.listen("news")
    kombu.Producer(channel).publish({"n": 1}, exchange=exchange)
    (payload,) = subscription.receive(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while not heard:  # kombu subscribes when it first waits, and hears nothing from before
        assert time.monotonic() < deadline, "kombu did not hear it"
        broker.broadcast("news", payload)
        with suppress(TimeoutError):
            channel.connection.client.drain_events(timeout=0.1)
    assert heard[0] == {"n": 1}
    listener.cancel()
    subscription.close()
