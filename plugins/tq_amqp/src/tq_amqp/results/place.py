"""Where results go: the RabbitMQ of the broker, unless the backend's URL names another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tq_amqp.address import PLAIN, TLS, Address, parse_addresses
from tq_amqp.connection import Link
from tq_amqp.options import ConnectionOptions
from tq_core.contracts.backend import BackendRequest
from tq_core.errors import BackendError, BackendUnavailable, ImproperlyConfigured


def link_of(request: BackendRequest) -> Link:
    """Return the way to the RabbitMQ that keeps results.

    Raises:
        ImproperlyConfigured: there is none, the URL or an option cannot be used, or results would not be accepted.
    """
    serializer = request.serializer
    if request.accept and serializer.content_type not in request.accept:
        raise ImproperlyConfigured(
            f"`result_serializer` is {serializer.name!r}, which `result_accept_content` does not accept; add "
            f"{serializer.name!r} to `result_accept_content`"
        )
    settings = request.settings
    addresses = addresses_of(request.url, settings)
    if _broker_of(settings)[0] not in PLAIN | TLS:  # what is said about the broker is said about another server
        own = settings.get("result_backend_transport_options")
        settings = {**settings, "broker_transport_options": own, "broker_use_ssl": None, "broker_login_method": None}
    options = ConnectionOptions.from_settings(settings, addresses[0].query)
    return Link(addresses, options, f"tq {request.node}", unavailable=BackendUnavailable, refused=BackendError)


def addresses_of(url: str, settings: Mapping[str, Any]) -> tuple[Address, ...]:
    """Return the addresses that a backend's URL means.

    ``rpc://`` and ``amqp://`` alone mean the broker's, as in Celery, and so does ``rpc://`` with anything behind it;
    ``amqp://host/vhost`` and ``rpc+amqp://host/vhost`` name a RabbitMQ.

    Raises:
        ImproperlyConfigured: the URL cannot be read, or the broker is no RabbitMQ.
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.strip().lower().removeprefix("rpc+")
    if rest and scheme in PLAIN | TLS:
        return parse_addresses(url.strip().removeprefix("rpc+"))
    kind, broker = _broker_of(settings)
    if kind not in PLAIN | TLS:
        raise ImproperlyConfigured(
            f"The result backend {scheme!r} sends results through the broker's RabbitMQ, but broker_url is "
            f"{kind + '://…' if kind else 'not set'}. Name a RabbitMQ (rpc+amqp://user:password@host/vhost), or choose "
            "another result_backend, such as redis://"
        )
    return parse_addresses(broker)


def _broker_of(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Return the broker's scheme and URL."""
    broker = str(settings.get("broker_write_url") or settings.get("broker_url") or "")
    return broker.partition("://")[0].strip().lower(), broker


def lifetime_of(settings: Mapping[str, Any]) -> float | None:
    """Return how long results live in seconds (``result_expires``), None for ever."""
    expires = settings.get("result_expires", timedelta(days=1))
    if isinstance(expires, timedelta):
        expires = expires.total_seconds()
    return float(expires) if expires else None


def delivery_mode_of(settings: Mapping[str, Any], *, persistent: bool) -> int:
    """Return the delivery mode of result messages: 2 where they survive a restart (``result_persistent``), else 1.

    Args:
        settings: the application's.
        persistent: what holds where nothing is set.
    """
    wanted = settings.get("result_persistent")
    return 2 if (persistent if wanted is None else wanted) else 1
