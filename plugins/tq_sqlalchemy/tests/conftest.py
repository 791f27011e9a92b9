"""A database file per test, and a serializer that needs nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from tq_sqlalchemy.plugin import tq_backend, tq_broker

from tests.databases import own_database
from tq_core.contracts.backend import Backend, BackendRequest
from tq_core.contracts.broker import Broker, BrokerRequest
from tq_core.contracts.serializer import Serializer
from tq_core.errors import DecodeError, EncodeError


class PlainJson(Serializer):
    """JSON by the standard library."""

    name = "json"
    content_type = "application/json"
    content_encoding = "utf-8"

    def dumps(self, value: Any) -> bytes:
        try:
            return json.dumps(value).encode()
        except (TypeError, ValueError) as error:
            raise EncodeError(str(error)) from error

    def loads(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except ValueError as error:
            raise DecodeError(str(error)) from error


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a database without tables, of each kind in turn."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture(scope="session")
def postgresql_database(require_service: Callable[[str], str]) -> Iterator[str]:
    """The URL of a database of this run's own on the PostgreSQL server."""
    require_service("postgresql")
    with own_database("postgresql") as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_database: str) -> str:
    """The URL of a schema of its own: quicker made than a database, and gone with it."""
    schema = f"tq_{uuid4().hex}"
    with psycopg.connect(postgresql_database, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    url = sa.make_url(postgresql_database)
    url = url.update_query_dict({"options": f"-csearch_path={schema}", "application_name": schema})
    return url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def mariadb_database() -> Iterator[str]:
    """The URL of a database of this run on the MariaDB server."""
    with own_database("mariadb") as url:
        yield url


@pytest.fixture
def mariadb_url(mariadb_database: str) -> Iterator[str]:
    """The URL of a database in which other tests have left nothing but empty tables: those take long to make."""
    yield mariadb_database
    engine = sa.create_engine(sa.make_url(mariadb_database).set(drivername="mysql+pymysql"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        for name in sa.inspect(connection).get_table_names():
            if not name.startswith("tq_"):
                connection.exec_driver_sql(f"DROP TABLE `{name}`")
            elif name not in {"tq_schema_version", "tq_guard"}:
                connection.exec_driver_sql(f"DELETE FROM `{name}`")


@pytest.fixture
def open_broker(url: str) -> Iterator[Callable[..., Broker]]:
    """Opens brokers on the test's file, with settings, and closes them after the test."""
    opened: list[Broker] = []

    def opener(**settings: Any) -> Broker:
        opened.append(tq_broker(BrokerRequest(url, settings, "test@here")))
        return opened[-1]

    yield opener
    for broker in opened:
        broker.close()


@pytest.fixture
def open_backend(url: str) -> Iterator[Callable[..., Backend]]:
    """Opens backends on the test's file, with settings, and closes them after the test."""
    opened: list[Backend] = []

    def opener(*, accept: tuple[str, ...] = ("application/json",), **settings: Any) -> Backend:
        request = BackendRequest("db+" + url, settings, PlainJson(), frozenset(accept), "test@here")
        opened.append(tq_backend(request))
        return opened[-1]

    yield opener
    for backend in opened:
        backend.close()
