"""What MariaDB and MySQL do their own way, and must not let anybody notice."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa
from tq_sqlalchemy.plugin import tq_broker

from tests.databases import own_database
from tests.private_servers import PrivateMariaDB, private_mariadb
from tq_core import Celery
from tq_core.contracts.backend import Backend, ResultRecord
from tq_core.contracts.broker import Ack, Broker, BrokerRequest
from tq_core.errors import BackendError, BackendUnavailable, BrokerUnavailable, ImproperlyConfigured, PublishError
from tq_core.message import Message
from tq_core.testing.conformance.patience import take, until

PATIENCE = 30.0
DONE = "2026-01-02T03:04:05.678901+00:00"
HALF_A_PAIR = "\ud83d"


@pytest.fixture
def url(mariadb_url: str) -> str:
    return mariadb_url


def message(task_id: str, queue: str = "q", body: bytes = b"[]", **fields: Any) -> Message:
    return Message(task_id, {"id": task_id}, body, queue=queue, routing_key=queue, **fields)


def connect(url: str) -> pymysql.Connection[Any]:
    """A connection of somebody else to the same database."""
    found = sa.make_url(url)
    return pymysql.connect(
        host=found.host, port=found.port or 3306, user=found.username, database=found.database, autocommit=True
    )


def ask(connection: pymysql.Connection[Any], statement: str, *values: object) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql", "mysql+mysqldb"])
def test_every_spelling_of_the_url_means_the_same_database(url: str, scheme: str) -> None:
    spelt = url.replace("mysql", scheme, 1)
    app = Celery("any", broker=spelt, backend=f"db+{spelt}")
    app.broker.publish([message("a")])
    kombu = Celery("any", broker=f"sqla+{spelt}", backend="disabled")
    assert kombu.broker.depth("q").ready == 1
    app.backend.store([ResultRecord("a", "SUCCESS", 1)])
    assert app.backend.fetch(["a"])["a"].result == 1
    for opened in (app, kombu):
        opened.close()


def test_names_differ_by_case_and_by_spaces_at_the_end(
    open_broker: Callable[..., Broker], open_backend: Callable[..., Backend]
) -> None:
    broker, backend = open_broker(), open_backend()
    names = ["q", "Q", "q ", "ü", "u"]
    broker.publish([message(f"for {name}", name) for name in names])
    assert broker.queues() == sorted(names)
    consumer = broker.consumer(["q"], consumer_id="c")
    assert [delivery.message.id for delivery in consumer.receive(9, 0) if delivery.message] == ["for q"]
    broker.pause("Q")
    assert broker.paused() == ["Q"]
    backend.store([ResultRecord("id", "SUCCESS", 1), ResultRecord("ID", "SUCCESS", 2)])
    assert {key: record.result for key, record in backend.fetch(["id", "ID"]).items()} == {"id": 1, "ID": 2}
    locks = backend.coordination()
    assert locks.acquire("key", "one", 60) is not None
    assert locks.acquire("key ", "other", 60) is not None


def test_no_text_is_too_odd(open_broker: Callable[..., Broker], open_backend: Callable[..., Backend]) -> None:
    broker, backend = open_broker(), open_backend()
    odd = "quote ' backslash \\ percent %s nul \0 smile \N{GRINNING FACE} newline \n"
    broker.publish([message(odd[:200], body=bytes(range(256)))])
    (delivery,) = broker.consumer(["q"], consumer_id="c").receive(1, 0)
    assert delivery.message is not None
    assert (delivery.message.id, delivery.message.body) == (odd[:200], bytes(range(256)))
    letter = broker.bury("q", message("b"), f"{odd}{HALF_A_PAIR}", f"line\n{odd}{HALF_A_PAIR}")
    found = broker.dead_letter(letter)
    assert found is not None
    assert found.reason == f"{odd}\\ud83d"
    assert (found.traceback or "").endswith("\\ud83d")
    backend.store([ResultRecord("r", "FAILURE", {}, traceback=f"{odd}{HALF_A_PAIR}")])
    assert backend.fetch(["r"])["r"].traceback == f"{odd}\\ud83d"


@pytest.fixture(scope="module")
def private() -> Iterator[PrivateMariaDB]:
    """A server that takes 16 MB at a time, as they usually do."""
    with private_mariadb() as server:
        yield server


class TestPacketsOfTheUsualSize:
    @pytest.fixture
    def url(self, private: PrivateMariaDB) -> str:
        return private.url

    def test_a_batch_larger_than_a_packet_arrives_in_order(self, open_broker: Callable[..., Broker]) -> None:
        broker = open_broker()
        bodies = [bytes([number]) * 3_000_000 for number in range(8)]
        broker.publish([message(f"m{number}", "large", body) for number, body in enumerate(bodies)])
        consumer = broker.consumer(["large"], consumer_id="c")
        taken = take(consumer, 8)
        assert [delivery.message.body for delivery in taken if delivery.message] == bodies
        assert list(consumer.settle([Ack(delivery.tag) for delivery in taken])) == []

    def test_a_message_larger_than_a_packet_is_refused_with_its_batch(self, open_broker: Callable[..., Broker]) -> None:
        broker = open_broker()
        with pytest.raises(PublishError, match="max_allowed_packet is 16,777,216") as caught:
            broker.publish([message("small", "refused"), message("large", "refused", b"x" * 17_000_000)])
        assert caught.value.unsent == ("small", "large")
        assert not caught.value.maybe_sent
        assert broker.depth("refused").ready == 0
        broker.publish([message("small", "refused")])
        assert broker.depth("refused").ready == 1

    def test_a_result_larger_than_a_packet_is_refused(self, open_backend: Callable[..., Backend]) -> None:
        backend = open_backend()
        with pytest.raises(BackendError, match="max_allowed_packet") as caught:
            backend.store([ResultRecord("large", "SUCCESS", "x" * 17_000_000)])
        # Waiting would not help, so this must not look as if it did.
        assert not isinstance(caught.value, BackendUnavailable)
        backend.store([ResultRecord("small", "SUCCESS", "x")])
        assert set(backend.fetch(["large", "small"])) == {"small"}


#: Celery's table as SQLAlchemy makes it here: bytes and text end at 64 kB, and a moment at its second.
CELERYS = """
CREATE TABLE celery_taskmeta (id INTEGER NOT NULL AUTO_INCREMENT, task_id VARCHAR(155), status VARCHAR(50),
    result BLOB, date_done DATETIME, traceback TEXT, PRIMARY KEY (id), UNIQUE (task_id))
"""


def test_tables_made_by_celery_are_read_and_written(url: str, open_backend: Callable[..., Backend]) -> None:
    with connect(url) as celery:
        ask(celery, CELERYS)
        ask(
            celery,
            "INSERT INTO celery_taskmeta (task_id, status, result, date_done) VALUES ('theirs', 'SUCCESS', %s, %s)",
            b"[1, 2]",
            "2024-01-01 00:00:00",
        )
        backend = open_backend(result_extended=True)
        backend.store([ResultRecord("ours", "SUCCESS", {"sum": 3}, date_done=DONE)])
        found = backend.fetch(["theirs", "ours"])
        assert (found["theirs"].result, found["theirs"].date_done) == ([1, 2], "2024-01-01T00:00:00+00:00")
        assert found["ours"].result == {"sum": 3}
        row = ask(celery, "SELECT status, result FROM celery_taskmeta WHERE task_id = 'ours'")
        assert row == [("SUCCESS", b'{"sum": 3}')]
        with pytest.raises(BackendError, match="too long"):
            backend.store([ResultRecord("long", "SUCCESS", "x" * 70_000)])
        assert "long" not in backend.fetch(["long"])


def test_what_celery_reads_in_our_tables_is_what_was_stored(url: str, open_backend: Callable[..., Backend]) -> None:
    open_backend().store([ResultRecord("t", "SUCCESS", ["x" * 100_000], date_done=DONE)])
    engine = sa.create_engine(sa.make_url(url).set(drivername="mysql+pymysql"), poolclass=sa.NullPool)
    table = sa.Table("celery_taskmeta", sa.MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        row = connection.execute(sa.select(table)).one()
    assert (row.task_id, row.status, len(row.result)) == ("t", "SUCCESS", 100_004)
    assert row.date_done.isoformat() == DONE[:26]


def test_no_password_appears_in_an_error(url: str) -> None:
    stranger = sa.make_url(url).set(username="nobody", password="s3cret").render_as_string(hide_password=False)
    with pytest.raises(BrokerUnavailable, match="check the URL's user and password") as caught:
        tq_broker(BrokerRequest(stranger, {}, "n")).connect(PATIENCE)
    assert "s3cret" not in str(caught.value)


def test_what_is_missing_is_named(url: str) -> None:
    nowhere = sa.make_url(url).set(database="tq_test_nowhere").render_as_string(hide_password=False)
    with pytest.raises(BrokerUnavailable, match="does not exist: create it"):
        tq_broker(BrokerRequest(nowhere, {}, "n")).connect(PATIENCE)
    with pytest.raises(ImproperlyConfigured, match="names no database"):
        tq_broker(BrokerRequest("mysql://root@127.0.0.1/", {}, "n"))
    with pytest.raises(ImproperlyConfigured, match="unheard_of"):
        tq_broker(BrokerRequest(f"{url}?unheard_of=1", {}, "n")).connect(PATIENCE)


def test_options_of_the_url_and_of_the_engine_reach_the_driver(url: str, open_broker: Callable[..., Broker]) -> None:
    engine_options = {"connect_args": {"init_command": "SET @theirs = 'kept'"}, "pool_size": 5}
    broker = tq_broker(
        BrokerRequest(
            f"{url}?program_name=mine&charset=latin1",
            {"broker_transport_options": {"engine_options": engine_options}},
            "n",
        )
    )
    broker.publish([message("ü")])
    (delivery,) = broker.consumer(["q"], consumer_id="c").receive(1, 0)
    assert delivery.message is not None
    assert delivery.message.id == "ü"
    broker.close()


def test_the_missing_driver_is_named() -> None:
    code = """
import sys
sys.modules["pymysql"] = None
from tq_core.contracts.broker import BrokerRequest
from tq_core.errors import ImproperlyConfigured
from tq_sqlalchemy.plugin import tq_broker
try:
    tq_broker(BrokerRequest("mariadb://localhost/db", {}, "n"))
except ImproperlyConfigured as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert "pip install 'tq-sqlalchemy[mysql]'" in ran.stdout


def test_several_processes_may_make_the_tables_at_once() -> None:
    code = """
import sys
from tq_core.contracts.backend import BackendRequest
from tq_core.contracts.broker import BrokerRequest
from tq_core.message import Message
from tq_sqlalchemy.plugin import tq_broker
broker = tq_broker(BrokerRequest(sys.argv[1], {}, "n"))
print("up", flush=True)
sys.stdin.readline()
broker.publish([Message("m", {}, b"", queue="q", routing_key="q")])
"""
    with own_database("mariadb") as url:
        makers = [
            subprocess.Popen(
                [sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(4)
        ]
        for maker in makers:
            assert maker.stdout is not None
            assert maker.stdout.readline() == "up\n"
        for maker in makers:
            maker.communicate("\n", timeout=PATIENCE)
        assert [maker.returncode for maker in makers] == [0] * 4
        broker = tq_broker(BrokerRequest(url, {}, "n"))
        assert broker.depth("q").ready == 4
        broker.close()


def test_results_stored_in_opposite_orders_do_not_stop_each_other(open_backend: Callable[..., Backend]) -> None:
    ids = [f"task{number}" for number in range(40)]
    errors: list[BaseException] = []

    def store(order: list[str], state: str) -> None:
        backend = open_backend()
        try:
            for _ in range(20):
                backend.store([ResultRecord(task_id, state, state) for task_id in order])
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=store, args=(order, state))
        for order, state in ((ids, "STARTED"), (ids[::-1], "RETRY"), (ids[20:] + ids[:20], "SUCCESS"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert errors == []
    assert {record.state for record in open_backend().fetch(ids).values()} == {"SUCCESS"}


def test_no_listener_misses_what_several_broadcast_at_once(open_broker: Callable[..., Broker]) -> None:
    broker = open_broker()
    subscription = broker.listen("news")
    expected = {b"%d/%d" % (sender, number) for sender in range(4) for number in range(150)}

    def send(sender: int) -> None:
        for number in range(150):
            broker.broadcast("news", b"%d/%d" % (sender, number))

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for sender in senders:
        sender.start()
    heard: list[bytes] = []
    until(lambda: heard.extend(subscription.receive(0.5)) or len(heard) >= len(expected))  # type: ignore[func-returns-value]
    for sender in senders:
        sender.join()
    assert (len(heard), set(heard)) == (len(expected), expected)
    subscription.close()


def test_a_lock_held_by_a_stranger_ends_in_an_error_that_names_it(
    url: str, open_backend: Callable[..., Backend]
) -> None:
    coordination = open_backend().coordination()
    coordination.put("key", b"value")
    with connect(url) as stranger:
        ask(stranger, "BEGIN")
        ask(stranger, "SELECT * FROM tq_value FOR UPDATE")
        with pytest.raises(BackendUnavailable, match="keeps a transaction open"):
            coordination.put("key", b"other")
        ask(stranger, "ROLLBACK")
    coordination.put("key", b"other")
    assert coordination.get("key") == b"other"


def test_a_claim_finds_its_rows_by_an_index(url: str, open_broker: Callable[..., Broker]) -> None:
    broker = open_broker()
    broker.publish([message(f"m{number}", priority=number % 3) for number in range(5000)])
    broker.publish([message(f"p{number}", due=4e9 + number) for number in range(5000)])
    with connect(url) as observer:
        ask(observer, "ANALYZE TABLE tq_message")
        for statement in (
            "SELECT id FROM tq_message WHERE state = 0 AND queue = 'q' ORDER BY priority DESC, id LIMIT 5",
            "SELECT id FROM tq_message WHERE state = 1 AND due <= 1 ORDER BY due LIMIT 5",
        ):
            ((*_, table, _kind, _possible, index, _length, _reference, _rows, extra),) = ask(
                observer, f"EXPLAIN {statement}"
            )
            assert (table, "filesort" in extra) == ("tq_message", False)
            assert index in {"tq_message_ready", "tq_message_parked"}
