"""URLs of PostgreSQL, in SQLAlchemy's form and in libpq's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from tq_core.errors import ImproperlyConfigured
from tq_sqlalchemy.address import parse_url

if TYPE_CHECKING:
    from tq_sqlalchemy.dialect import Dialect

#: ``scheme://user:password@one:5432,two/database?options``: several hosts, as libpq writes them.
_SEVERAL = re.compile(r"^[^:]+://(?P<login>[^/?]*@)?(?P<hosts>[^@/?]*,[^@/?]*)(?P<path>/[^?]*)?(\?(?P<query>.*))?$")


def open_url(url: str) -> Dialect:
    """Return the dialect of a URL, whatever driver it names.

    Raises:
        ImproperlyConfigured: the URL cannot be read, or psycopg is missing.
    """
    try:
        from tq_sqlalchemy.postgresql.dialect import PostgreSQL
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "psycopg" and "psycopg" not in str(error):
            raise
        raise ImproperlyConfigured(
            "PostgreSQL needs psycopg 3, which is not installed or cannot be loaded "
            f"({error}): pip install 'tq-sqlalchemy[postgresql]'"
        ) from error
    return PostgreSQL(parse_url(one_form(url)))


def one_form(url: str) -> str:
    """Turn a URL with several hosts into SQLAlchemy's form, which names them in the query."""
    found = _SEVERAL.match(url)
    if found is None:
        return url
    hosts = "&".join(f"host={quote(host, safe=':[]')}" for host in found["hosts"].split(","))
    query = f"{hosts}&{found['query']}" if found["query"] else hosts
    return f"postgresql://{found['login'] or ''}{found['path'] or '/'}?{query}"
