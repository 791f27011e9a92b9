"""What people run into: wrong URLs and options, files that cannot be used, tables made by others."""

from __future__ import annotations

import os
import pickle
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tq_sqlalchemy.address import dialect_of
from tq_sqlalchemy.plugin import tq_broker

from tq_core.contracts.backend import Backend, ResultRecord
from tq_core.contracts.broker import Broker, BrokerRequest
from tq_core.errors import (
    BackendUnavailable,
    BrokerUnavailable,
    ContentDisallowed,
    ImproperlyConfigured,
    PublishError,
)
from tq_core.message import Message

DONE = "2026-01-02T03:04:05.678901+00:00"


@pytest.mark.parametrize("prefix", ["sqlite", "sqla+sqlite", "db+sqlite", "sqlalchemy+sqlite", "sqlite+pysqlite"])
def test_every_spelling_of_a_url_means_the_same_file(prefix: str, tmp_path: Path) -> None:
    assert dialect_of(f"{prefix}:///{tmp_path}/a.db").path == tmp_path / "a.db"


@pytest.fixture
def url(sqlite_url: str) -> str:
    return sqlite_url


def test_a_relative_file_is_where_the_process_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert dialect_of("sqlite:///rel.db").path == tmp_path / "rel.db"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqla+sqlite://"])
def test_a_database_in_memory_is_refused_and_memory_recommended(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="memory://"):
        dialect_of(url)


def test_no_password_appears_in_an_error() -> None:
    for url in ("db+oracle://joe:s3cret@host/db", "db+nonsense:s3cret@", "db+s3cret@host"):
        with pytest.raises(ImproperlyConfigured) as caught:
            dialect_of(url)
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lease_duratoin": 5}, "did you mean 'lease_duration'"),
        ({"lease_duration": "long"}, "lease_duration must be a number"),
        ({"doorbell": 1}, "doorbell must be true or false"),
    ],
)
def test_a_wrong_option_is_named(url: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=words):
        tq_broker(BrokerRequest(url, {"broker_transport_options": options}, "n"))


def test_a_file_that_is_no_database_is_named(
    tmp_path: Path, open_broker: Callable[..., Broker], open_backend: Callable[..., Backend]
) -> None:
    (tmp_path / "tq.db").write_bytes(b"this is a text, and a rather long one, not a database at all" * 20)
    with pytest.raises(BrokerUnavailable, match=r"tq\.db.*not a SQLite database"):
        open_broker().connect(1.0)
    with pytest.raises(BackendUnavailable, match=r"tq\.db.*not a SQLite database"):
        open_backend().store([ResultRecord("a", "SUCCESS")])


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    broker = tq_broker(BrokerRequest(f"sqlite:///{tmp_path}/none/tq.db", {}, "n"))
    with pytest.raises(PublishError, match="none does not exist") as caught:
        broker.publish([Message("a", {}, b"")])
    assert caught.value.unsent == ("a",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_directory_is_explained(tmp_path: Path, open_broker: Callable[..., Broker]) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(BrokerUnavailable, match="may be written"):
            open_broker().connect(1.0)
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_is_said_to_be_full(open_broker: Callable[..., Broker]) -> None:
    broker = open_broker(broker_transport_options={"engine_options": {}})
    broker.connect(1.0)
    session_limit = "PRAGMA max_page_count=40"
    broker._database.read(lambda session: session.raw.execute(session_limit).fetchall())  # type: ignore[attr-defined]  # fills a disk portably
    with pytest.raises(PublishError, match="disk is full: make room"):
        broker.publish([Message("a", {}, b"x" * 1_000_000)])
    broker.publish([Message("b", {}, b"small")])


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path, open_broker: Callable[..., Broker]) -> None:
    open_broker().connect(1.0)
    with sqlite3.connect(tmp_path / "tq.db") as connection:
        connection.execute("UPDATE tq_schema_version SET version = 99")
    connection.close()
    with pytest.raises(ImproperlyConfigured, match="newer tq-sqlalchemy"):
        open_broker().connect(1.0)


def test_a_lock_held_by_a_stranger_ends_in_an_error_and_not_in_a_hang(
    tmp_path: Path, open_broker: Callable[..., Broker]
) -> None:
    broker = open_broker(broker_transport_options={"busy_timeout": 0.3})
    broker.connect(1.0)
    stranger = sqlite3.connect(tmp_path / "tq.db", isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(PublishError, match="locked by another process"):
        broker.publish([Message("a", {}, b"")])
    stranger.execute("ROLLBACK")
    stranger.close()
    broker.publish([Message("a", {}, b"")])


def test_unreadable_headers_are_a_delivery_with_a_defect_and_can_be_buried(
    tmp_path: Path, open_broker: Callable[..., Broker]
) -> None:
    broker = open_broker()
    broker.publish([Message("bad", {}, b"body", queue="q", routing_key="q")])
    with sqlite3.connect(tmp_path / "tq.db") as connection:
        connection.execute("UPDATE tq_message SET headers = '{not json'")
    connection.close()
    (delivery,) = broker.consumer(["q"], consumer_id="c").receive(1, 0)
    assert delivery.message is None
    assert "not JSON" in (delivery.defect or "")
    assert delivery.raw == b"{not json\nbody"


OLD_TABLE = """
CREATE TABLE celery_taskmeta (id INTEGER NOT NULL PRIMARY KEY, task_id VARCHAR(155) UNIQUE,
    status VARCHAR(50), result BLOB, date_done DATETIME, traceback TEXT)
"""


def test_tables_made_by_an_older_celery_are_read_and_written(
    tmp_path: Path, open_backend: Callable[..., Backend]
) -> None:
    with sqlite3.connect(tmp_path / "tq.db") as connection:
        connection.execute(OLD_TABLE)
        connection.execute(
            "INSERT INTO celery_taskmeta (task_id, status, result, date_done) VALUES ('old', 'SUCCESS', ?, ?)",
            (pickle.dumps({"sum": 3}), "2024-01-01 00:00:00.000000"),
        )
    connection.close()
    backend = open_backend(accept=("application/json", "application/x-python-serialize"), result_extended=True)
    record = ResultRecord("new", "SUCCESS", 1, children=[[["c", None], None]], date_done=DONE)
    backend.store([record])
    found = backend.fetch(["old", "new"])
    assert found["old"].result == {"sum": 3}
    assert found["old"].date_done == "2024-01-01T00:00:00.000000+00:00"
    assert found["new"].result == 1
    with pytest.raises(ContentDisallowed, match="result_accept_content"):
        open_backend().fetch(["old"])


def test_a_result_row_is_what_celery_reads(tmp_path: Path, open_backend: Callable[..., Backend]) -> None:
    open_backend(database_table_names={"task": "mine"}).store(
        [ResultRecord("t", "SUCCESS", [1, "a"], date_done="2026-01-02T05:04:05.678901+02:00")]
    )
    connection = sqlite3.connect(tmp_path / "tq.db")
    row = connection.execute("SELECT task_id, status, result, date_done, children FROM mine").fetchone()
    connection.close()
    assert row == ("t", "SUCCESS", b'[1, "a"]', "2026-01-02 03:04:05.678901", None)


def test_threads_of_one_process_do_not_lose_messages(open_broker: Callable[..., Broker]) -> None:
    broker = open_broker()

    def publish(thread: int) -> None:
        for number in range(50):
            broker.publish([Message(f"{thread}-{number}", {}, b"", queue="q", routing_key="q")])

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broker.depth("q").ready == 200
