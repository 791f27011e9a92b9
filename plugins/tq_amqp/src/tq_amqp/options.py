"""What may stand in ``broker_transport_options`` for RabbitMQ, and the settings that the plugin reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from tq_core.errors import ImproperlyConfigured

#: Options of kombu, of py-amqp and of other transports that have no meaning here; settings that carry them stay usable.
FOREIGN = frozenset(
    {
        "confirm_publish",
        "confirm_timeout",
        "channel_max",
        "errback",
        "global_keyprefix",
        "interval_max",
        "interval_start",
        "interval_step",
        "lease_duration",
        "max_retries",
        "on_blocked",
        "on_unblocked",
        "polling_interval",
        "queue_order_strategy",
        "read_timeout",
        "retry_policy",
        "socket_settings",
        "visibility_timeout",
        "write_timeout",
    }
)


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How connections are made, and what the plugin's own objects in the broker are like.

    Attributes:
        connect_timeout: seconds to wait for a connection (``broker_connection_timeout``).
        answer_timeout: seconds a silent server is waited for.
        publish_timeout: seconds a publish may take (``broker_publish_timeout``).
        heartbeat: seconds between heartbeats of consumers' connections (``broker_heartbeat``), 0 for none.
        login_method: SASL mechanism (``broker_login_method``), or "".
        failover: ``round-robin``, ``shuffle``, or a function of the list of addresses (``broker_failover_strategy``).
        ssl: TLS options (``broker_use_ssl``), or None where the URL decides.
        frame_max: most bytes of a frame; the headers of a message must fit in one.
        client_properties: shown by RabbitMQ's tools.
        passive: True where the site makes exchanges, queues and bindings itself.
        dead_letter_limit: most dead letters kept (``dead_letter_max_count``), 0 for no limit.
        dead_letter_expires: seconds a dead letter is kept (``dead_letter_max_age``), 0 for ever.
        largest: most bytes of a message that is read (``message_max_size``), 0 for no limit.
        pool_limit: most idle connections kept for publishing (``broker_pool_limit``).
    """

    connect_timeout: float = 4.0
    answer_timeout: float = 5.0
    publish_timeout: float = 5.0
    heartbeat: float = 120.0
    login_method: str = ""
    failover: Any = "round-robin"
    ssl: Mapping[str, Any] | None = field(default=None, repr=False)
    frame_max: int = 131_072
    client_properties: Mapping[str, Any] = field(default_factory=dict)
    passive: bool = False
    dead_letter_limit: int = 10_000
    dead_letter_expires: float = 14 * 86_400.0
    largest: int = 64 * 1024 * 1024
    pool_limit: int = 10

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], query: Mapping[str, str]) -> ConnectionOptions:
        """Check ``broker_transport_options``, the query of ``broker_url``, and the settings that say the rest.

        Raises:
            ImproperlyConfigured: an option is unknown or has a value of the wrong kind.
        """
        values = dict(_from_settings(settings))
        for name, value in {**query, **(settings.get("broker_transport_options") or {})}.items():
            check = _CHECKS.get(_ALIASES.get(name, name))
            if check is not None:
                values[_ALIASES.get(name, name)] = check(name, value)
            elif name not in FOREIGN:
                known = sorted(_CHECKS)
                near = get_close_matches(name, known, 1)
                meant = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
                raise ImproperlyConfigured(f"broker_transport_options: unknown option {name!r}{meant}")
        return cls(**values)


def _from_settings(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    for setting, name in _SETTINGS.items():
        value = settings.get(setting)
        if value is not None:
            values[name] = value
    if settings.get("broker_heartbeat", 120) is None:
        values["heartbeat"] = 0.0
    if settings.get("broker_pool_limit", 10) is None:
        values["pool_limit"] = 0
    tls = settings.get("broker_use_ssl")
    if tls:
        values["ssl"] = dict(tls) if isinstance(tls, Mapping) else {}
    for name in ("connect_timeout", "publish_timeout", "heartbeat", "dead_letter_expires"):
        if name in values:
            values[name] = float(values[name])
    for name in ("connect_timeout", "publish_timeout"):
        if name in values and not values[name] > 0:
            del values[name]
    return values


_SETTINGS = {
    "broker_connection_timeout": "connect_timeout",
    "broker_publish_timeout": "publish_timeout",
    "broker_heartbeat": "heartbeat",
    "broker_login_method": "login_method",
    "broker_failover_strategy": "failover",
    "broker_pool_limit": "pool_limit",
    "dead_letter_max_count": "dead_letter_limit",
    "dead_letter_max_age": "dead_letter_expires",
    "message_max_size": "largest",
}


def _wrong(name: str, wanted: str, value: Any) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"broker_transport_options: {name} must be {wanted}, not {value!r}")


def _above_zero(name: str, value: Any) -> float:
    try:
        number = float("x" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        raise _wrong(name, "a number", value) from None
    if not number > 0:
        raise _wrong(name, "above 0", value)
    return number


def _frame(name: str, value: Any) -> int:
    number = int(_above_zero(name, value))
    if number < 4096:
        raise _wrong(name, "at least 4096", value)
    return number


def _truth(name: str, value: Any) -> bool:
    if isinstance(value, str) and value.lower() in {"true", "yes", "1", "false", "no", "0"}:
        return value.lower() in {"true", "yes", "1"}
    if not isinstance(value, bool):
        raise _wrong(name, "true or false", value)
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "a text", value)
    return value


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(name, "a mapping", value)
    return value


def _heartbeat(name: str, value: Any) -> float:
    return 0.0 if value in (0, "0", None) else _above_zero(name, value)


#: kombu's names for some options in the query of a URL.
_ALIASES = {"connection_timeout": "connect_timeout", "socket_timeout": "answer_timeout"}

_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "connect_timeout": _above_zero,
    "answer_timeout": _above_zero,
    "heartbeat": _heartbeat,
    "login_method": _text,
    "frame_max": _frame,
    "client_properties": _mapping,
    "passive": _truth,
}

assert set(_CHECKS) <= {option.name for option in fields(ConnectionOptions)}
