"""Which Redis a URL means.

Forms (the ones of Celery and kombu): ``redis://[user:password@]host:port/db``, ``rediss://`` (TLS),
``redis+socket:///path?virtual_host=db``, ``sentinel://h1:26379/db;sentinel://h2:26379``; ``valkey`` for ``redis``. And
one of tq's own: ``redis+cluster://[user:password@]h1:port,h2:port``, with TLS ``rediss+cluster://``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tq_core.errors import ImproperlyConfigured

PLAIN = frozenset({"redis", "valkey"})
TLS = frozenset({"rediss", "valkeys"})
SOCKET = frozenset({"redis+socket", "socket"})
CLUSTER = frozenset({"redis+cluster", "valkey+cluster"})
TLS_CLUSTER = frozenset({"rediss+cluster", "valkeys+cluster"})

REDIS_PORT, SENTINEL_PORT = 6379, 26379

#: Names in a URL's query that say where, not how; everything else there is an option of the connection.
_PLACES = frozenset({"virtual_host", "db"})


@dataclass(frozen=True, slots=True)
class Address:
    """A Redis server, the sentinels that know it, or nodes of a cluster.

    Attributes:
        hosts: host and port; more than one only with ``sentinel`` or ``cluster``.
        db: number of the database.
        username: for Redis' access control, or None.
        password: likewise; never shown.
        path: of a Unix socket, or "".
        tls: True to encrypt.
        sentinel: True where ``hosts`` are sentinels.
        cluster: True where ``hosts`` are nodes of a cluster, which know the others.
        query: the other options of the URL, as texts.
    """

    hosts: tuple[tuple[str, int], ...]
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    path: str = ""
    tls: bool = False
    sentinel: bool = False
    cluster: bool = False
    query: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """Name the place for people, without the password."""
        if self.path:
            return f"redis+socket://{self.path}?virtual_host={self.db}"
        if self.sentinel:
            return ";".join(f"sentinel://{host}:{port}/{self.db}" for host, port in self.hosts)
        scheme = "rediss" if self.tls else "redis"
        if self.cluster:
            return f"{scheme}+cluster://" + ",".join(f"{host}:{port}" for host, port in self.hosts)
        host, port = self.hosts[0]
        return f"{scheme}://{host}:{port}/{self.db}"


def parse_address(url: str) -> Address:
    """Read a URL, or several joined by ``;`` of sentinels or of nodes of one cluster.

    Raises:
        ImproperlyConfigured: it cannot be read. The text never repeats the URL, because of its password.
    """
    pieces = [piece.strip() for piece in url.split(";") if piece.strip()]
    if not pieces:
        raise ImproperlyConfigured("The Redis URL is empty; write it like redis://localhost:6379/0")
    first = _parse_one(pieces[0])
    if len(pieces) == 1:
        return first
    if not (first.sentinel or first.cluster):
        raise ImproperlyConfigured(
            "Only sentinel:// and redis+cluster:// URLs may be joined by ';'; name one Redis server"
        )
    scheme = pieces[0].partition("://")[0]
    others = [_parse_one(piece if "://" in piece else f"{scheme}://{piece}") for piece in pieces[1:]]
    kinds = {(one.sentinel, one.cluster, one.tls) for one in (first, *others)}
    if len(kinds) > 1:
        raise ImproperlyConfigured("Redis URLs that are joined by ';' must all have the same scheme")
    return replace(first, hosts=first.hosts + tuple(host for other in others for host in other.hosts))


def _parse_one(url: str) -> Address:
    scheme = url.partition("://")[0].lower()
    if scheme not in PLAIN | TLS | SOCKET | CLUSTER | TLS_CLUSTER | {"sentinel"}:
        raise ImproperlyConfigured(
            "The Redis URL cannot be read; write it like redis://localhost:6379/0, rediss://…, redis+socket:///path, "
            "sentinel://host:26379 or redis+cluster://host:6379,host:6379"
        )
    cluster = scheme in CLUSTER | TLS_CLUSTER
    try:
        parts = urlsplit(url)
        hosts = _hosts(parts.netloc, SENTINEL_PORT if scheme == "sentinel" else REDIS_PORT, many=cluster)
    except ValueError:  # its text repeats the URL
        raise ImproperlyConfigured(
            "The Redis URL cannot be read; escape special characters of the password (%40 for '@')"
        ) from None
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    place = {name: query.pop(name) for name in _PLACES & set(query)}
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    path = unquote(parts.path)
    if scheme in SOCKET:
        wanted = place.get("virtual_host", place.get("db", "0"))
        return Address((), _database(wanted), username, password, path=path, query=query)
    db = _database(place.get("db", path.strip("/")) or "0")
    if cluster and db:
        raise ImproperlyConfigured(f"A Redis Cluster has no database but 0; leave /{db} away, and set global_keyprefix")
    return Address(
        hosts,
        db,
        username,
        password,
        tls=scheme in TLS | TLS_CLUSTER,
        sentinel=scheme == "sentinel",
        cluster=cluster,
        query=query,
    )


def _hosts(netloc: str, usual_port: int, *, many: bool) -> tuple[tuple[str, int], ...]:
    """Return host and port of one, or of ``many`` joined by commas.

    Raises:
        ValueError: a port is none.
    """
    named = netloc.rpartition("@")[2]
    places = [urlsplit(f"//{place}") for place in (named.split(",") if many else [named])]
    return tuple((place.hostname or "localhost", place.port or usual_port) for place in places)


def _database(text: str) -> int:
    text = text.strip("/")
    if not text.isdecimal():
        raise ImproperlyConfigured(f"The database of a Redis URL is a number such as /0, not {text!r}")
    return int(text)


def tls_options(given: Any) -> dict[str, Any]:
    """Turn ``broker_use_ssl`` or ``redis_backend_use_ssl`` into redis-py's options.

    Args:
        given: None or False for nothing, True for the defaults, or a mapping of ``ssl_…`` options as Celery takes it.
    """
    if not isinstance(given, Mapping):
        return {}
    return {name if name.startswith("ssl_") else f"ssl_{name}": value for name, value in given.items()}
