"""What tests may expect of the servers they start themselves."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import sqlalchemy as sa

from tests.databases import own_database
from tests.private_servers import PrivateServer, private_mariadb, private_postgresql, private_redis

DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    found = sa.make_url(url)
    engine = sa.create_engine(
        found.set(drivername=DRIVERS[found.get_backend_name()]), poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []


def ping(server: PrivateServer, patience: float) -> bytes:
    with socket.create_connection((server.host, server.port), timeout=patience) as caller:
        caller.sendall(b"PING\r\n")
        return caller.recv(5)


@pytest.mark.parametrize("private", [private_postgresql, private_mariadb])
def test_a_killed_and_restarted_database_has_what_was_committed(
    private: Callable[[], AbstractContextManager[PrivateServer]],
) -> None:
    with private() as server:
        ask(server.url, "CREATE TABLE kept (number INTEGER)")
        ask(server.url, "INSERT INTO kept VALUES (1)")
        port = server.port
        server.kill()
        with pytest.raises(sa.exc.OperationalError):
            ask(server.url, "SELECT 1")
        server.start()
        ask(server.url, "INSERT INTO kept VALUES (2)")
        server.stop()
        server.start()
        assert server.port == port
        assert ask(server.url, "SELECT number FROM kept ORDER BY number") == [(1,), (2,)]
        data = server.data
    assert not data.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=5)


def test_two_private_servers_do_not_share_anything() -> None:
    with private_mariadb() as one, private_mariadb() as other:
        ask(one.url, "CREATE TABLE only_here (number INTEGER)")
        assert ask(one.url, "SHOW TABLES") == [("only_here",)]
        assert ask(other.url, "SHOW TABLES") == []


def test_a_frozen_server_accepts_and_is_silent_until_it_thaws() -> None:
    with private_redis() as server:
        server.freeze()
        with pytest.raises(TimeoutError):
            ping(server, 0.2)
        server.thaw()
        assert ping(server, 20) == b"+PONG"


def test_a_server_that_cannot_start_says_why() -> None:
    with private_redis() as server:
        server.kill()
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind((server.host, server.port))
            thief.listen()
            with pytest.raises(RuntimeError, match="did not start"):
                server.start()


@pytest.mark.parametrize("service", ["postgresql", "mariadb"])
def test_an_own_database_is_empty_and_gone_afterwards(service: str) -> None:
    with own_database(service) as url:
        ask(url, "CREATE TABLE mine (number INTEGER)")
        with own_database(service) as another:
            assert another != url
            ask(another, "CREATE TABLE mine (number INTEGER)")
    with pytest.raises(sa.exc.DBAPIError):
        ask(url, "SELECT 1")
