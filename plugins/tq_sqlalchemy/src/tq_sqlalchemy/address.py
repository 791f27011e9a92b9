"""Which database a URL means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from tq_core.errors import ImproperlyConfigured

#: What Celery and kombu put before a database URL to say that SQLAlchemy is meant.
PREFIX = re.compile(r"^(?:db|database|sqla|sqlalchemy)\+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """A database, found.

    Attributes:
        url: SQLAlchemy's URL, the path made absolute.
        path: the SQLite file.
    """

    url: sa.URL
    path: Path

    def __str__(self) -> str:
        return f"the SQLite database {self.path}"


def parse_address(url: str) -> Address:
    """Read ``sqlite:///rel.db``, ``sqlite:////abs.db``, ``sqla+sqlite://…`` or ``db+sqlite://…``.

    A relative path is taken from the working directory of this moment; a later ``chdir`` moves nothing.

    Raises:
        ImproperlyConfigured: it is not a URL, not SQLite, or names no file.
    """
    try:
        parsed = sa.make_url(PREFIX.sub("", url))
    except (sa.exc.ArgumentError, ValueError):
        # SQLAlchemy's own text repeats the URL, and with it the password.
        raise ImproperlyConfigured(
            "The database URL cannot be read; write it like sqlite:////var/lib/app/queue.db"
        ) from None
    if parsed.get_backend_name() != "sqlite":
        raise ImproperlyConfigured(
            f"tq-sqlalchemy does not speak {parsed.get_backend_name()} yet; use sqlite:///… for now"
        )
    name = parsed.database or ""
    if name in {"", ":memory:"} or name.startswith("file:"):
        raise ImproperlyConfigured(
            "A SQLite database in memory cannot be shared with other threads and processes: name a file "
            "(sqlite:////var/lib/app/queue.db), or use memory:// to stay inside one process"
        )
    path = Path(name).expanduser().resolve()
    return Address(parsed.set(database=str(path)), path)
