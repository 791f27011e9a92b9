"""Which RabbitMQ a URL means.

Forms, as in Celery: ``amqp://user:password@host:port/vhost``, ``pyamqp://`` and ``librabbitmq://`` for the same,
``amqps://`` with TLS, and several joined by ``;`` for failing over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from tq_core.errors import ImproperlyConfigured

PLAIN = frozenset({"amqp", "pyamqp", "librabbitmq"})
TLS = frozenset({"amqps", "pyamqps"})
PORT, TLS_PORT = 5672, 5671


@dataclass(frozen=True, slots=True)
class Address:
    """One RabbitMQ node and a virtual host on it.

    Attributes:
        host: its name or IP address.
        port: its port.
        vhost: the virtual host.
        username: of the user.
        password: likewise; never shown.
        tls: True to encrypt.
        query: the options in the URL, as texts.
    """

    host: str
    port: int
    vhost: str = "/"
    username: str = "guest"
    password: str = field(default="guest", repr=False)
    tls: bool = False
    query: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """Name the place for people, without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        vhost = "/" if self.vhost == "/" else f"/{self.vhost}"
        return f"{'amqps' if self.tls else 'amqp'}://{host}:{self.port}{vhost}"


def parse_addresses(url: str) -> tuple[Address, ...]:
    """Read a URL, or several joined by ``;``.

    Raises:
        ImproperlyConfigured: one cannot be read. The text never repeats the URL, because of its password.
    """
    pieces = [piece.strip() for piece in url.split(";") if piece.strip()]
    if not pieces:
        raise ImproperlyConfigured("The AMQP URL is empty; write it like amqp://user:password@localhost:5672/vhost")
    scheme = pieces[0].partition("://")[0] if "://" in pieces[0] else "amqp"
    return tuple(_parse(piece if "://" in piece else f"{scheme}://{piece}") for piece in pieces)


def _parse(url: str) -> Address:
    scheme = url.partition("://")[0].lower()
    if scheme not in PLAIN | TLS:
        raise ImproperlyConfigured(
            "The AMQP URL cannot be read; write it like amqp://user:password@localhost:5672/vhost, or amqps://… for TLS"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text repeats the URL
        raise ImproperlyConfigured(
            "The AMQP URL cannot be read; escape special characters of the password (%40 for '@', %2F for '/')"
        ) from None
    tls = scheme in TLS
    return Address(
        parts.hostname or "localhost",
        port or (TLS_PORT if tls else PORT),
        unquote(parts.path.removeprefix("/")) or "/",
        unquote(parts.username) if parts.username else "guest",
        unquote(parts.password) if parts.password else "guest",
        tls,
        dict(parse_qsl(parts.query, keep_blank_values=True)),
    )
