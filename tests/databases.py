"""Empty databases on the servers that tests can use; see :mod:`tests.services`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from tests.services import SERVICES

#: How each service's database is made and dropped: by which driver, and in which words.
_DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}
_DROP = {
    # A worker that a test left behind must not keep the database alive.
    "postgresql": "DROP DATABASE IF EXISTS {name} WITH (FORCE)",
    "mariadb": "DROP DATABASE IF EXISTS {name}",
}


@contextmanager
def own_database(service: str) -> Iterator[str]:
    """Make an empty database for the time of a ``with`` block.

    Args:
        service: ``postgresql`` or ``mariadb``.

    Yields:
        its URL, without a driver.

    Raises:
        RuntimeError: The server cannot be used; says which variable names another one.
    """
    url = sa.make_url(SERVICES[service].url).set(drivername=_DRIVERS[service])
    name = f"tq_test_{secrets.token_hex(6)}"
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    _run(engine, service, f"CREATE DATABASE {name}")
    try:
        yield url.set(drivername=url.get_backend_name(), database=name).render_as_string(hide_password=False)
    finally:
        _run(engine, service, _DROP[service].format(name=name))


def _run(engine: sa.Engine, service: str, statement: str) -> None:
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        host, port = SERVICES[service].address
        raise RuntimeError(
            f"{service} at {host}:{port} cannot be used ({error.orig}); start it or set {SERVICES[service].variable}"
        ) from None
