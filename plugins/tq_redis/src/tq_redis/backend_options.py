"""What the settings say about results in Redis."""

from __future__ import annotations

import logging
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from tq_core.errors import ImproperlyConfigured
from tq_core.serializers.compression import codec_named
from tq_redis.address import Address
from tq_redis.options import ConnectionOptions, TransportOptions, connection_options
from tq_redis.results_store import Lifetimes

logger = logging.getLogger(__name__)

SETTING = "result_backend_transport_options"

#: Celery's default of ``redis_socket_timeout``; nobody asked for it, and no call may take as long.
CELERY_TIMEOUT = 120.0

#: Options of Celery's result backend that have no meaning here, and those of the broker, which some share with it.
_MEANINGLESS = frozenset({"result_chord_join_timeout", "thread_safe"})
_BROKERS = frozenset(option.name for option in fields(TransportOptions)) - {"connection"}


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """Options of the result backend, checked.

    Attributes:
        connection: how connections are made.
        lifetimes: how long things are kept.
        compression: to write results with, or None.
        chord_ordered: True where the parts of chords are kept by position.
    """

    connection: ConnectionOptions
    lifetimes: Lifetimes
    compression: str | None
    chord_ordered: bool

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], query: Mapping[str, str]) -> BackendOptions:
        """Check the settings and the query of the URL.

        Raises:
            ImproperlyConfigured: an option is unknown or has a value of the wrong kind.
        """
        given = {**query, **(settings.get(SETTING) or {})}
        known = frozenset({"result_chord_ordered"}) | _MEANINGLESS | _BROKERS
        connection, rest = connection_options(SETTING, given, known=known)
        ordered = rest.get("result_chord_ordered", True)
        if not isinstance(ordered, bool):
            raise ImproperlyConfigured(f"{SETTING}: result_chord_ordered must be true or false, not {ordered!r}")
        return cls(
            connection=_with_redis_settings(connection, given, settings),
            lifetimes=_lifetimes(settings),
            compression=_compression(settings),
            chord_ordered=ordered,
        )


def completed(address: Address, url: str, settings: Mapping[str, Any]) -> Address:
    """Fill in what the URL leaves open from ``redis_host``, ``redis_port`` and ``redis_db``."""
    if address.path or address.sentinel or address.cluster:
        return address
    parts = urlsplit(url)
    host, port = address.hosts[0]
    host = parts.hostname or settings.get("redis_host") or host
    port = parts.port or settings.get("redis_port") or port
    named = parts.path.strip("/") or "db=" in parts.query
    database = address.db if named else int(settings.get("redis_db") or 0)
    return replace(address, hosts=((host, port),), db=database)


def _with_redis_settings(
    connection: ConnectionOptions, given: Mapping[str, Any], settings: Mapping[str, Any]
) -> ConnectionOptions:
    """Add Celery's ``redis_…`` settings; the transport options are nearer and win."""
    wanted = {
        "socket_timeout": settings.get("redis_socket_timeout"),
        "socket_connect_timeout": settings.get("redis_socket_connect_timeout"),
        "health_check_interval": settings.get("redis_backend_health_check_interval"),
        "client_name": settings.get("redis_client_name"),
        "credential_provider": _credential_provider(settings.get("redis_backend_credential_provider")),
        "username": settings.get("redis_username"),
        "password": settings.get("redis_password"),
    }
    if wanted["socket_timeout"] == CELERY_TIMEOUT:
        del wanted["socket_timeout"]
    return replace(connection, **{name: value for name, value in wanted.items() if value and name not in given})


def _credential_provider(given: Any) -> Any:
    """Return redis-py's ``CredentialProvider``: given itself, as its class, or as the class's dotted path."""
    if isinstance(given, str):
        try:
            given = pkgutil.resolve_name(given)
        except (ImportError, AttributeError, ValueError) as error:
            raise ImproperlyConfigured(
                f"redis_backend_credential_provider: {given!r} cannot be imported: {error}"
            ) from error
    return given() if isinstance(given, type) else given


def _lifetimes(settings: Mapping[str, Any]) -> Lifetimes:
    result = _milliseconds(settings.get("result_expires", timedelta(days=1)))
    failure, chord = (settings.get(name) for name in ("result_failure_expires", "result_chord_expires"))
    return Lifetimes(
        result=result,
        failure=result if failure is None else _milliseconds(failure),
        chord=result if chord is None else _milliseconds(chord),
    )


def _milliseconds(expires: Any) -> int:
    """Return a lifetime; 0 is for ever."""
    if isinstance(expires, timedelta):
        expires = expires.total_seconds()
    return max(1, int(expires * 1000)) if expires else 0


def _compression(settings: Mapping[str, Any]) -> str | None:
    name = settings.get("result_compression")
    if not name:
        return None
    codec_named(name)
    if settings.get("interop") != "celery-5.7":
        logger.warning(
            "Results are not compressed with %s: Celery before 5.7 could not read them. Set interop = 'celery-5.7' "
            "when all of your deployment is at least that",
            name,
        )
        return None
    return str(name)
