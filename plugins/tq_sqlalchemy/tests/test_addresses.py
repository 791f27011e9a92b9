"""What people write into their settings for PostgreSQL, and what they are told when it does not work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import psycopg
import pytest
import sqlalchemy as sa
from tq_sqlalchemy.address import dialect_of
from tq_sqlalchemy.plugin import tq_broker

from tq_core.contracts.backend import Backend, ResultRecord
from tq_core.contracts.broker import Broker, BrokerRequest
from tq_core.errors import BackendError, BackendUnavailable, BrokerUnavailable, ImproperlyConfigured, PublishError
from tq_core.message import Message


@pytest.fixture
def url(postgresql_url: str) -> str:
    return postgresql_url


@pytest.mark.parametrize(
    "scheme",
    [
        "postgresql",
        "postgres",
        "sqla+postgresql",
        "db+postgresql",
        "db+postgres",
        "postgresql+psycopg",
        "postgresql+psycopg2",
        "db+postgresql+psycopg2",
    ],
)
def test_every_spelling_of_a_url_means_the_same_server(scheme: str, url: str) -> None:
    broker = tq_broker(BrokerRequest(url.replace("postgresql", scheme, 1), {}, "n"))
    broker.publish([Message(scheme, {}, b"")])
    broker.close()


def test_the_first_host_that_answers_is_used(url: str, free_port: int) -> None:
    parsed = sa.make_url(url)
    hosts = f"127.0.0.1:{free_port},{parsed.host}:{parsed.port}"
    several = url.replace(f"{parsed.host}:{parsed.port}", hosts, 1)
    broker = tq_broker(BrokerRequest(several, {}, "n"))
    broker.connect(5.0)
    broker.close()


def test_the_options_of_a_url_reach_the_server(url: str) -> None:
    broker = tq_broker(BrokerRequest(url, {}, "n"))
    broker.connect(5.0)
    wanted = sa.make_url(url).query["application_name"]
    with psycopg.connect(url) as observer:
        seen = observer.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = %s", [wanted]).fetchall()
    assert len(seen) >= 2
    broker.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"database": "tq_there_is_none"}, "create it"),
        ({"username": "tq_nobody", "password": "s3cret"}, "check user and password"),
    ],
)
def test_what_keeps_a_login_from_working_is_named(url: str, change: dict[str, str], words: str) -> None:
    wrong = sa.make_url(url).set(**change).render_as_string(hide_password=False)  # type: ignore[arg-type]  # words only
    with pytest.raises(BrokerUnavailable, match=words) as caught:
        tq_broker(BrokerRequest(wrong, {}, "n")).connect(1.0)
    assert "s3cret" not in f"{caught.value!r}{caught.value}"
    assert caught.value.__cause__ is not None


def test_a_wrong_option_of_the_driver_is_named(url: str) -> None:
    with pytest.raises(BrokerUnavailable, match="sslmood"):
        tq_broker(BrokerRequest(f"{url}&sslmood=require", {}, "n")).connect(1.0)


def test_no_password_is_shown_with_the_place() -> None:
    shown = str(dialect_of("postgresql://joe:s3cret@one:5433,two:5434/shop?sslmode=require"))
    assert shown == "the PostgreSQL database shop on one:5433, two:5434"


def test_without_psycopg_the_extra_is_named_and_sqlite_works(tmp_path: object) -> None:
    code = """
import sys
sys.modules["psycopg"] = None
from tq_core.contracts.broker import BrokerRequest
from tq_core.errors import ImproperlyConfigured
from tq_core.message import Message
from tq_sqlalchemy.plugin import tq_broker
tq_broker(BrokerRequest(f"sqlite:///{sys.argv[1]}/tq.db", {}, "n")).publish([Message("a", {}, b"")])
try:
    tq_broker(BrokerRequest("postgresql://localhost/db", {}, "n"))
except ImproperlyConfigured as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "pip install 'tq-sqlalchemy[postgresql]'" in ran.stdout


def test_an_unknown_database_is_named_with_those_that_are_known() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'oracle'.*postgresql"):
        dialect_of("db+oracle://joe:s3cret@host/db")


def test_a_value_that_no_column_can_take_is_no_reason_to_try_again(
    open_broker: Callable[..., Broker], open_backend: Callable[..., Backend]
) -> None:
    with pytest.raises(PublishError, match="too long") as caught:
        open_broker().publish([Message("x" * 300, {}, b"")])
    assert not caught.value.maybe_sent
    with pytest.raises(BackendError, match="too long") as refused:
        open_backend().store([ResultRecord("t", "X" * 60)])
    assert not isinstance(refused.value, BackendUnavailable)


def test_a_text_with_a_nul_is_stored_all_the_same(open_backend: Callable[..., Backend]) -> None:
    backend = open_backend()
    backend.store([ResultRecord("t", "FAILURE", {}, traceback="line\0 one")])
    assert backend.fetch(["t"])["t"].traceback == "line\\x00 one"


CELERY_TABLE = """
CREATE SEQUENCE task_id_sequence;
CREATE TABLE celery_taskmeta (id INTEGER NOT NULL PRIMARY KEY, task_id VARCHAR(155) UNIQUE, status VARCHAR(50),
    result BYTEA, date_done TIMESTAMP, traceback TEXT);
INSERT INTO celery_taskmeta VALUES (nextval('task_id_sequence'), 'theirs', 'SUCCESS', '1', '2026-01-02 03:04:05', NULL)
"""


def test_tables_made_by_celery_are_used_as_they_are(url: str, open_backend: Callable[..., Backend]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(CELERY_TABLE)
        backend = open_backend(result_extended=True)
        backend.store([ResultRecord("ours", "SUCCESS", 2), ResultRecord("others", "SUCCESS", 3)])
        found = backend.fetch(["theirs", "ours"])
        assert found["theirs"].date_done == "2026-01-02T03:04:05.000000+00:00"
        assert found["ours"].result == 2
        assert connection.execute("SELECT min(id), max(id) FROM celery_taskmeta").fetchone() == (1, 3)


def test_celery_can_number_its_rows_in_our_tables(url: str, open_backend: Callable[..., Backend]) -> None:
    backend = open_backend(database_table_names={"task": "mine"})
    backend.store([ResultRecord("ours", "SUCCESS", 1)])
    backend.save_group("group", [])
    with psycopg.connect(url, autocommit=True) as connection:
        for table, word, sequence in (("mine", "task_id", "task"), ("celery_tasksetmeta", "taskset_id", "taskset")):
            connection.execute(
                f"INSERT INTO {table} (id, {word}, result) VALUES (nextval('{sequence}_id_sequence'), 'theirs', '5')"
            )
    backend.store([ResultRecord("later", "SUCCESS", 1)])
    backend.save_group("another", [])
    assert backend.load_group("theirs") == 5


def test_results_may_be_in_a_schema_of_their_own(url: str, open_backend: Callable[..., Backend]) -> None:
    schema = sa.make_url(url).query["application_name"] + "_results"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            backend = open_backend(database_table_schemas={"task": schema, "group": schema})
            backend.store([ResultRecord("t", "SUCCESS", 1)])
            assert connection.execute(f"SELECT status FROM {schema}.celery_taskmeta").fetchall() == [("SUCCESS",)]
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")
