"""Which database a URL means, and who speaks its dialect."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from tq_core.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from tq_sqlalchemy.dialect import Dialect

#: What Celery and kombu put before a database URL to say that SQLAlchemy is meant.
PREFIX = re.compile(r"^(?:db|database|sqla|sqlalchemy)\+", re.IGNORECASE)


def _sqlite(url: str) -> Dialect:
    from tq_sqlalchemy.sqlite.dialect import SQLite

    return SQLite(parse_url(url))


def _postgresql(url: str) -> Dialect:
    from tq_sqlalchemy.postgresql.url import open_url

    return open_url(url)


def _mysql(url: str) -> Dialect:
    try:
        from tq_sqlalchemy.mysql.dialect import MySQL
    except ModuleNotFoundError as error:
        if error.name != "pymysql":
            raise
        raise ImproperlyConfigured("MariaDB and MySQL need PyMySQL: pip install 'tq-sqlalchemy[mysql]'") from None
    return MySQL(parse_url(url))


#: By the first word of a URL's scheme. Imported when asked for, so that nobody loads another one's driver.
DIALECTS: Mapping[str, Callable[[str], Dialect]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "postgres": _postgresql,
    "mysql": _mysql,
    "mariadb": _mysql,
}


def parse_url(url: str) -> sa.URL:
    """Read a URL in SQLAlchemy's form.

    Raises:
        ImproperlyConfigured: it is not one.
    """
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # SQLAlchemy's own text repeats the URL, and with it the password.
        raise ImproperlyConfigured(
            "The database URL cannot be read; write it like sqlite:////var/lib/app/queue.db"
        ) from None


def dialect_of(url: str) -> Dialect:
    """Choose the dialect of ``sqlite:///rel.db``, ``sqla+sqlite:////abs.db``, ``db+sqlite://…`` and the like.

    Raises:
        ImproperlyConfigured: it is not a URL, not of a known database, or lacks what that one needs.
    """
    plain = PREFIX.sub("", url)
    name = re.split(r"[:+]", plain, maxsplit=1)[0].lower()
    if name in DIALECTS:
        return DIALECTS[name](plain)
    if not re.match(r"[a-z0-9]+(\+[a-z0-9_]+)?://", plain, re.IGNORECASE):
        parse_url("")
    raise ImproperlyConfigured(f"tq-sqlalchemy does not speak {name!r}; it speaks {', '.join(sorted(DIALECTS))}")
