"""The bridge to kombu's transports: what its errors say, what it keeps of a message, and what it does with bad ones."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.messaging import Producer

from tq_core.brokers.kombu_bridge.broker import KombuBroker
from tq_core.brokers.kombu_bridge.traits import Traits
from tq_core.contracts.broker import Ack, BrokerCapabilities, BrokerRequest, Bury, Park, Requeue
from tq_core.errors import BrokerUnavailable, ImproperlyConfigured, PublishError
from tq_core.testing.conformance.broker import ids, message
from tq_core.testing.conformance.patience import nothing, take

ABLE = BrokerCapabilities(delivery_count=True, purge=True)
FILES = Traits(
    "filesystem", "worker", ABLE, implementation="tq_core.brokers.kombu_bridge.filesystem:Transport", poll=0.05
)


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "messages").mkdir()
    return {
        "data_folder_in": str(tmp_path / "messages"),
        "data_folder_out": str(tmp_path / "messages"),
        "control_folder": str(tmp_path / "control"),
    }


@pytest.fixture
def open_broker(options: dict[str, Any]) -> Iterator[Callable[..., KombuBroker]]:
    opened: list[KombuBroker] = []

    def opener(traits: Traits = FILES, url: str = "filesystem://", **more: Any) -> KombuBroker:
        settings = {"broker_transport_options": {**options, **more}}
        opened.append(KombuBroker(BrokerRequest(url, settings, "test@here"), traits))
        return opened[-1]

    yield opener
    for broker in opened:
        broker.close()


@pytest.fixture
def broker(open_broker: Callable[..., KombuBroker]) -> KombuBroker:
    return open_broker()


def files(options: dict[str, Any], queue: str = "q") -> list[Path]:
    return sorted(Path(options["data_folder_in"]).glob(f"*.{queue}.msg"))


def test_a_missing_driver_is_named_with_what_to_install(open_broker: Callable[..., KombuBroker]) -> None:
    traits = replace(FILES, module="no_such_driver.at_all", requires="kombu[nosuch]")
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'kombu\[nosuch\]'"):
        open_broker(traits)


def test_a_folder_that_is_missing_is_named(open_broker: Callable[..., KombuBroker], tmp_path: Path) -> None:
    broker = open_broker(data_folder_out=str(tmp_path / "nowhere"))
    with pytest.raises(BrokerUnavailable, match=r"nowhere' \(data_folder_out\) does not exist"):
        broker.connect(1.0)
    with pytest.raises(PublishError, match="nowhere") as error:
        broker.publish([message("a"), message("b")])
    assert error.value.unsent == ("a", "b")


def test_no_error_tells_the_password(open_broker: Callable[..., KombuBroker]) -> None:
    amqp = Traits("amqp", "connection", BrokerCapabilities(), topology=True)
    broker = open_broker(amqp, "kombu+amqp://somebody:hunter2@127.0.0.1:1//", confirm_publish=True)
    with pytest.raises(BrokerUnavailable) as error:
        broker.connect(1.0)
    assert "127.0.0.1:1" in str(error.value)
    assert "hunter2" not in f"{error.value!r} {error.value.__cause__!r}"


def test_a_password_in_a_drivers_own_text_is_hidden(
    open_broker: Callable[..., KombuBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(transport: Any) -> None:
        raise OSError(f"cannot log in as somebody with {transport.client.password}")

    monkeypatch.setattr("kombu.transport.pyamqp.Transport.establish_connection", refuse)
    amqp = Traits("amqp", "connection", BrokerCapabilities(), topology=True)
    with pytest.raises(BrokerUnavailable, match=r"somebody with \*\*") as error:
        open_broker(amqp, "kombu+amqp://somebody:hunter2@127.0.0.1:1//").connect(1.0)
    assert "hunter2" not in f"{error.value!r} {error.value.__cause__!r}"


def test_a_queue_that_cannot_be_a_file_is_refused_and_the_rest_is_unsent(broker: KombuBroker) -> None:
    with pytest.raises(PublishError, match="part of a file name") as error:
        broker.publish([message("a"), message("b", "x/y"), message("c")])
    assert error.value.unsent == ("b", "c")
    assert ids(take(broker.consumer(["q"], consumer_id="me"), 1)) == ["a"]


def test_headers_that_are_no_json_are_refused_before_anything_is_sent(
    broker: KombuBroker, options: dict[str, Any]
) -> None:
    with pytest.raises(PublishError) as error:
        broker.publish([message("a", headers={"id": "a", "odd": object()})])
    assert (error.value.unsent, error.value.maybe_sent) == (("a",), False)
    assert files(options) == []


def test_an_exchange_that_nobody_is_bound_to_is_refused(broker: KombuBroker) -> None:
    with pytest.raises(PublishError, match="no queue is bound to the exchange 'news'"):
        broker.publish([replace(message("a"), queue="", exchange="news", routing_key="sport")])


def test_a_message_goes_where_kombu_has_bound_its_exchange(broker: KombuBroker, options: dict[str, Any]) -> None:
    with Connection("filesystem://", transport_options=options) as connection:
        channel = connection.channel()
        channel.exchange_declare("news", "direct")
        channel.queue_bind("q", "news", "sport")
    broker.publish([replace(message("a"), queue="", exchange="news", routing_key="sport")])
    assert ids(take(broker.consumer(["q"], consumer_id="me"), 1)) == ["a"]


def test_a_compressed_body_is_handed_on_as_it_is(broker: KombuBroker, options: dict[str, Any]) -> None:
    with Connection("filesystem://", transport_options=options) as connection:
        Producer(connection.channel()).publish({"x": 1}, routing_key="q", compression="zlib", correlation_id="c")
    (delivery,) = take(broker.consumer(["q"], consumer_id="me"), 1)
    assert delivery.message is not None
    assert delivery.message.headers["compression"] == "application/x-gzip"
    assert bytes(delivery.message.body)[:1] == b"\x78"  # zlib's, and not yet JSON


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\x00 nonsense", "is not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"body": "e30="}', "no properties"),
        (b'{"properties": {}}', "no body"),
        (b'{"properties": {"body_encoding": "base64"}, "body": "e"}', "not base64"),
        (b'{"properties": {"body_encoding": "rot13"}, "body": "e"}', "unknown encoding"),
        (b'{"properties": {"priority": "high"}, "body": ""}', "priority"),
        (b'{"properties": {}, "body": "", "headers": 3}', "headers"),
    ],
)
def test_what_cannot_be_read_is_handed_on_and_buried_whole(
    broker: KombuBroker, options: dict[str, Any], content: bytes, why: str
) -> None:
    (Path(options["data_folder_in"]) / "0_x.q.msg").write_bytes(content)
    broker.publish([message("good")])
    consumer = broker.consumer(["q"], consumer_id="me")
    bad, good = take(consumer, 2)
    assert (bad.message, ids([good])) == (None, ["good"])
    assert why in (bad.defect or "")
    consumer.settle([Bury(bad.tag, "unreadable"), Ack(good.tag)])
    (dead,) = take(broker.consumer(["tq.dead"], consumer_id="other"), 1)
    assert dead.message is not None
    note = dead.message.headers["x-tq-buried"]
    assert (note["queue"], note["reason"]) == ("q", "unreadable")
    kept = bytes(dead.message.body)
    assert kept == content or json.loads(kept) == json.loads(content)


def test_a_buried_message_keeps_its_body_its_headers_and_its_reason(broker: KombuBroker) -> None:
    broker.publish([message("bad", headers={"id": "bad", "task": "t"}, body=b"the body")])
    consumer = broker.consumer(["q"], consumer_id="me")
    (first,) = take(consumer, 1)
    consumer.settle([Requeue(first.tag)])
    (second,) = take(consumer, 1)
    consumer.settle([Bury(second.tag, "why", "Traceback …")])
    assert nothing(consumer)
    (dead,) = take(broker.consumer(["tq.dead"], consumer_id="other"), 1)
    assert dead.message is not None
    note = dead.message.headers.pop("x-tq-buried")  # type: ignore[attr-defined]  # it is a dict
    assert (dead.message.headers, bytes(dead.message.body)) == ({"id": "bad", "task": "t"}, b"the body")
    assert (note["reason"], note["traceback"], note["delivery_count"]) == ("why", "Traceback …", 2)
    assert abs(note["buried_at"] - time.time()) < 60


def test_a_parked_message_waits_in_the_consumer_and_survives_its_close(broker: KombuBroker) -> None:
    consumer = broker.consumer(["q"], consumer_id="me")
    broker.publish([message("soon"), message("far")])
    soon, far = take(consumer, 2)
    until = time.time() + 0.3
    consumer.settle([Park(soon.tag, until), Park(far.tag, time.time() + 3600)])
    assert nothing(consumer)
    (again,) = take(consumer, 1)
    assert time.time() >= until - 0.01
    assert (ids([again]), again.delivery_count, again.redelivered) == (["soon"], 1, False)
    consumer.close()
    assert sorted(ids(take(broker.consumer(["q"], consumer_id="next"), 2))) == ["far", "soon"]


def test_a_begun_message_that_is_buried_is_kept_all_the_same(broker: KombuBroker) -> None:
    consumer = broker.consumer(["q"], consumer_id="me")
    broker.publish([message("x")])
    (delivery,) = take(consumer, 1)
    consumer.begin([delivery.tag])
    assert list(consumer.settle([Bury(delivery.tag, "why")])) == []
    assert ids(take(broker.consumer(["tq.dead"], consumer_id="other"), 1)) == ["x"]


def test_endings_that_failed_half_way_can_be_given_again(
    broker: KombuBroker, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = broker.consumer(["q"], consumer_id="me")
    broker.publish([message("done"), message("back")])
    done, back = take(consumer, 2)
    folder = Path(options["data_folder_out"])
    away = folder.rename(folder.with_name("away"))
    with pytest.raises(BrokerUnavailable):
        consumer.settle([Ack(done.tag), Requeue(back.tag)])
    away.rename(folder)
    assert list(consumer.settle([Ack(done.tag), Requeue(back.tag)])) == []
    assert ids(take(consumer, 1)) == ["back"]
    assert list(consumer.settle([Ack(done.tag)])) == [done.tag]


def test_a_file_that_is_still_being_written_is_left_alone(broker: KombuBroker, options: dict[str, Any]) -> None:
    consumer = broker.consumer(["q"], consumer_id="me")
    file = Path(options["data_folder_in"]) / "0_x.q.msg"
    file.touch()
    assert nothing(consumer)
    assert file.exists()
    broker.publish([message("whole")])
    (written,) = [found for found in files(options) if found != file]
    content = written.read_bytes()
    written.unlink()
    file.write_bytes(content)
    assert ids(take(consumer, 1)) == ["whole"]


def test_processed_files_are_kept_where_kombu_keeps_them(
    open_broker: Callable[..., KombuBroker], tmp_path: Path, options: dict[str, Any]
) -> None:
    broker = open_broker(store_processed=True, processed_folder=str(tmp_path / "processed"))
    broker.publish([message("x")])
    (name,) = (file.name for file in files(options))
    assert ids(take(broker.consumer(["q"], consumer_id="me"), 1)) == ["x"]
    assert os.listdir(tmp_path / "processed") == [name]
