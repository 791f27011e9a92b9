"""What happens when a server is restarted, cut off, silent or refuses: nothing is lost, doubled or left hanging."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from tq_sqlalchemy.plugin import tq_broker

from tests.private_servers import PrivateServer, private_mariadb, private_postgresql
from tq_core.contracts.backend import Backend, ResultRecord
from tq_core.contracts.broker import Ack, Broker, BrokerRequest
from tq_core.errors import BrokerUnavailable, PublishError
from tq_core.message import Message
from tq_core.testing.conformance.network import insist
from tq_core.testing.conformance.patience import Thread, take
from tq_core.testing.proxy import Proxy

#: Seconds after which something counts as hanging.
PATIENCE = 20.0


def message(task_id: str, queue: str = "q") -> Message:
    return Message(task_id, {"id": task_id}, b"[]", queue=queue, routing_key=queue)


@pytest.fixture(params=["postgresql", "mariadb"])
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database on a server, of each kind in turn."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


#: For what only PostgreSQL does.
ON_POSTGRESQL = pytest.mark.parametrize("server_url", ["postgresql"], indirect=True)


@pytest.fixture
def direct(server_url: str) -> Iterator[Broker]:
    """A broker that reaches the server without the proxy."""
    broker = tq_broker(BrokerRequest(server_url, {}, "direct@here"))
    yield broker
    broker.close()


@pytest.fixture
def proxy(server_url: str) -> Iterator[Proxy]:
    """What stands between the server and the clients under test."""
    url = sa.make_url(server_url)
    usual = 5432 if url.get_backend_name() == "postgresql" else 3306
    with Proxy(url.host or "127.0.0.1", url.port or usual) as proxy:
        yield proxy


@pytest.fixture
def url(server_url: str, proxy: Proxy) -> str:
    """The URL of the server behind the proxy."""
    return sa.make_url(server_url).set(host=proxy.host, port=proxy.port).render_as_string(hide_password=False)


def make_known(broker: Broker, queue: str) -> None:
    """Let a broker find that a queue is there, so that a publication to it is a single statement."""
    for _ in range(2):
        broker.publish([message("known", queue)])
    broker.purge(queue)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process or thread is about to do."""
    ended = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        if condition():
            return
        ended.wait(0.02)
    pytest.fail("it did not happen in time")


def test_a_refused_publish_says_that_nothing_was_sent(open_broker: Callable[..., Broker], proxy: Proxy) -> None:
    broker = open_broker()
    broker.publish([message("a")])
    proxy.refuse()
    with pytest.raises(PublishError) as caught:
        broker.publish([message("b")])
    assert not caught.value.maybe_sent
    assert caught.value.unsent == ("b",)
    proxy.resume()
    broker.publish([message("c")])
    assert broker.depth("q").ready == 2


def test_a_publish_to_a_silent_server_ends_and_says_that_it_may_have_been_sent(
    open_broker: Callable[..., Broker], proxy: Proxy
) -> None:
    broker = open_broker(broker_connection_timeout=1.0)
    make_known(broker, "q")
    proxy.stall()
    with pytest.raises(PublishError) as caught:
        Thread(lambda: broker.publish([message("b")])).result(PATIENCE)
    assert caught.value.maybe_sent


def test_connecting_to_a_silent_server_ends(open_broker: Callable[..., Broker], proxy: Proxy) -> None:
    proxy.stall()
    with pytest.raises(BrokerUnavailable):
        Thread(lambda: open_broker().connect(1.0)).result(PATIENCE)


def lose_the_answer(proxy: Proxy, done: Callable[[], bool], work: Callable[[], Any]) -> Any:
    """Do ``work`` whose first answer is lost with its connection, after the server has done it."""
    proxy.swallow_replies()
    thread = Thread(work)
    until(done)
    proxy.cut()
    proxy.resume()
    return thread.result()


@pytest.mark.parametrize("count", [1, 3])
def test_a_publish_whose_answer_was_lost_happens_once(
    open_broker: Callable[..., Broker], direct: Broker, proxy: Proxy, count: int
) -> None:
    broker = open_broker(broker_connection_timeout=PATIENCE)
    make_known(broker, "q")
    messages = [message(f"m{number}") for number in range(count)]
    lose_the_answer(proxy, lambda: direct.depth("q").ready == count, lambda: broker.publish(messages))
    assert direct.depth("q").ready == count
    broker.publish([message("next")])
    assert direct.depth("q").ready == count + 1


def test_endings_and_follow_ups_whose_answer_was_lost_happen_once(
    open_broker: Callable[..., Broker], direct: Broker, proxy: Proxy
) -> None:
    broker = open_broker(broker_connection_timeout=PATIENCE)
    broker.publish([message("a"), message("b")])
    consumer = broker.consumer(["q"], consumer_id="c")
    first, second = take(consumer, 2)
    # A new queue is learnt, so that this is a transaction of several statements.
    settle = lambda: consumer.settle([Ack(first.tag)], [message("next", "other")])  # noqa: E731
    proxy.stall()
    thread = Thread(settle)
    proxy.cut()
    proxy.resume()
    assert list(thread.result()) == []
    assert direct.depth("other").ready == 1
    lost = lose_the_answer(proxy, lambda: direct.depth("q").held == 0, lambda: consumer.settle([Ack(second.tag)]))
    assert list(lost) == []


def test_a_claim_whose_answer_was_lost_is_handed_out_again(
    open_broker: Callable[..., Broker], direct: Broker, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing but the claim is to be asked of the server.
    monkeypatch.setattr("tq_sqlalchemy.consumer.OBSERVE_EVERY", PATIENCE)
    for verbs in ("postgresql.messages.PostgresMessages", "mysql.messages.MySQLMessages"):
        monkeypatch.setattr(f"tq_sqlalchemy.{verbs}.ripen_every", PATIENCE)
    broker = open_broker(broker_connection_timeout=PATIENCE)
    consumer = broker.consumer(["q"], consumer_id="c")
    assert consumer.receive(1, 0) == []
    direct.publish([message("a")])
    with pytest.raises(BrokerUnavailable):
        lose_the_answer(proxy, lambda: direct.depth("q").held == 1, lambda: consumer.receive(1, 0))
    (again,) = take(consumer, 1)
    assert again.message is not None
    assert again.message.id == "a"
    assert again.delivery_count == 1
    assert list(consumer.settle([Ack(again.tag)])) == []


def test_connections_cut_at_rest_are_not_noticed(
    open_broker: Callable[..., Broker], open_backend: Callable[..., Backend], proxy: Proxy
) -> None:
    broker, backend = open_broker(), open_backend()
    consumer = broker.consumer(["q"], consumer_id="c")
    for number in range(5):
        broker.publish([message(f"m{number}")])
        proxy.cut()
        (delivery,) = consumer.receive(1, 0)
        proxy.cut()
        consumer.begin([delivery.tag])
        proxy.cut()
        backend.store([ResultRecord(f"m{number}", "SUCCESS", number)])
        proxy.cut()
        assert list(consumer.settle([Ack(delivery.tag)])) == []
        proxy.cut()
        assert backend.fetch([f"m{number}"])[f"m{number}"].result == number
        proxy.cut()
        backend.coordination().put("k", b"v")
    assert broker.depth("q").held == 0


@ON_POSTGRESQL
def test_waiting_outlives_a_cut(
    open_broker: Callable[..., Broker],
    direct: Broker,
    proxy: Proxy,
    server_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nobody looks by himself, so that only a ring ends the wait.
    monkeypatch.setattr("tq_sqlalchemy.consumer.FIRST_LOOK", 10 * PATIENCE)
    consumer = open_broker(lease_duration=40 * PATIENCE).consumer(["q"], consumer_id="c")
    # A claim that the cut strikes is an error to the caller, who asks again: nobody knows what came of it.
    thread = Thread(lambda: insist(lambda: consumer.receive(1, 10 * PATIENCE)))
    with psycopg.connect(server_url, autocommit=True) as observer:
        until(lambda: listeners(observer) == 1)
        proxy.cut()
    direct.publish([message("a")])
    assert [delivery.message.id for delivery in thread.result() if delivery.message] == ["a"]
    consumer.close()


@ON_POSTGRESQL
def test_somebody_who_waits_is_rung_and_nobody_else(
    open_broker: Callable[..., Broker], server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tq_sqlalchemy.consumer.FIRST_LOOK", 10 * PATIENCE)
    broker = open_broker(lease_duration=40 * PATIENCE)
    consumer = broker.consumer(["q"], consumer_id="c")
    with psycopg.connect(server_url, autocommit=True) as observer:
        for number in range(5):
            thread = Thread(lambda: consumer.receive(1, 10 * PATIENCE))
            until(lambda: listeners(observer) == 1)
            (pid,) = observer.execute(HOLDERS).fetchone() or (0,)
            observer.execute(f"LISTEN tq_bell_{pid}")
            broker.publish([message(f"a{number}")])
            assert [delivery.message.id for delivery in thread.result() if delivery.message] == [f"a{number}"]
            until(lambda: listeners(observer) == 0)
            until(lambda: rings(observer) > 0)
            # Nobody waits any more, so nobody is rung.
            broker.publish([message(f"b{number}")])
            assert rings(observer) == 0
            assert len(consumer.receive(1, 0)) == 1
    consumer.close()


#: The connections of this test that wait for rings.
HOLDERS = """
SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE application_name = current_setting('application_name')
AND locktype = 'advisory' AND mode = 'ShareLock' AND granted
"""


def listeners(observer: psycopg.Connection[Any]) -> int:
    """Return how many connections of this test wait for rings."""
    return len(observer.execute(HOLDERS).fetchall())


def rings(observer: psycopg.Connection[Any]) -> int:
    """Return how many rings the observer has overheard since it was asked last."""
    observer.execute("SELECT 1")
    return len(list(observer.notifies(timeout=0)))


def sockets() -> set[str]:
    """Return this process's open sockets."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return {name for name in found if name.startswith("socket:")}


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="this system does not list open files")
def test_a_forked_child_lets_go_of_its_parents_connections(postgresql_url: str) -> None:
    before = sockets()
    broker = tq_broker(BrokerRequest(postgresql_url, {}, "n"))
    consumer = broker.consumer(["q"], consumer_id="c")
    with psycopg.connect(postgresql_url, autocommit=True) as observer:
        thread = Thread(lambda: consumer.receive(1, 10 * PATIENCE))
        until(lambda: listeners(observer) == 1)
    ours = sockets() - before
    assert len(ours) >= 2
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kept = ours & sockets()
            broker.publish([message("from the child")])
            os.write(writer, b"kept some" if kept else b"let go")
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert os.read(reader, 10) == b"let go"
    os.close(reader)
    os.close(writer)
    assert len(thread.result()) == 1
    consumer.close()
    broker.close()


@pytest.fixture(scope="module", params=[private_postgresql, private_mariadb], ids=["postgresql", "mariadb"])
def private(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    with request.param() as server:
        yield server


def test_a_killed_and_restarted_server_has_lost_nothing(private: PrivateServer) -> None:
    broker = tq_broker(BrokerRequest(private.url, {"broker_connection_timeout": PATIENCE}, "n"))
    consumer = broker.consumer(["q"], consumer_id="c")
    broker.publish([message(f"m{number}") for number in range(20)])
    taken = take(consumer, 10)
    assert list(consumer.settle([Ack(delivery.tag) for delivery in taken[:5]])) == []
    private.kill()
    ended = Thread(lambda: consumer.settle([Ack(delivery.tag) for delivery in taken[5:]]))
    private.start()
    assert list(ended.result()) == []
    assert len({delivery.message.id for delivery in take(consumer, 10) if delivery.message}) == 10
    broker.publish([message("late")])
    assert len(take(consumer, 1)) == 1
    consumer.close()
    broker.close()


APPLICATION = """
import os
from tq_core import Celery
app = Celery("shop", broker=os.environ["SHOP_URL"], backend=os.environ["SHOP_URL"])
app.conf.task_acks_late = True
@app.task
def double(number):
    return 2 * number
"""


def test_a_worker_goes_on_after_its_server_was_killed(
    private: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.py").write_text(APPLICATION)
    monkeypatch.setenv("SHOP_URL", private.url)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    shop = importlib.import_module("shop")
    command = [sys.executable, "-m", "tq_core.cli.main", "-A", "shop", "worker", "-c", "1", "-l", "critical"]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        assert shop.double.delay(1).get(timeout=2 * PATIENCE) == 2
        sent = [shop.double.delay(number) for number in range(50)]
        private.kill()
        private.start()
        assert [result.get(timeout=2 * PATIENCE) for result in sent] == [2 * number for number in range(50)]
        assert shop.double.delay(7).get(timeout=2 * PATIENCE) == 14
        assert worker.poll() is None
    finally:
        worker.terminate()
        worker.wait(PATIENCE)
        shop.app.close()
