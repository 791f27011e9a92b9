"""What may stand in ``broker_transport_options`` and ``result_backend_transport_options`` for Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any

from tq_core.errors import ImproperlyConfigured

#: Options of kombu and of other transports that have no meaning here; settings that carry them stay usable.
FOREIGN = frozenset(
    {
        "ack_emulation",
        "busy_timeout",
        "confirm_publish",
        "connection_class",
        "doorbell",
        "echo",
        "engine_options",
        "interval_max",
        "interval_start",
        "interval_step",
        "max_retries",
        "min_other_sentinels",
        "polling_interval",
        "queue_order_strategy",
        "retry_policy",
        "sentinel_fanout_compat",
        "socket_read_size",
        "unacked_restore_interval",
        "unacked_restore_limit",
        "unacked_restore_throttle",
    }
)


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How connections are made; the same for queues and results.

    Attributes:
        global_keyprefix: stands before every key and channel.
        socket_timeout: seconds a silent server is waited for.
        socket_connect_timeout: seconds to wait for a connection.
        socket_keepalive: True has the system notice dead connections.
        socket_keepalive_options: of the socket, by number.
        health_check_interval: seconds of idleness after which a connection is tried before it is used; 0 never.
        client_name: shown by Redis' CLIENT LIST.
        credential_provider: an object of redis-py's ``CredentialProvider``.
        username: where the URL names none.
        password: where the URL names none.
        master_name: the service that the sentinels watch.
        sentinel_kwargs: redis-py's options of the connections to the sentinels.
        ssl: redis-py's ``ssl_…`` options.
        address_remap: where a server is reached that sentinels or a cluster name otherwise: ``host:port`` by
            ``host:port``.
    """

    global_keyprefix: str = ""
    socket_timeout: float = 5.0
    socket_connect_timeout: float = 4.0
    socket_keepalive: bool = True
    socket_keepalive_options: Mapping[int, int] = field(default_factory=dict)
    health_check_interval: float = 0.0
    client_name: str = ""
    credential_provider: Any = None
    username: str = ""
    password: str = field(default="", repr=False)
    master_name: str = ""
    sentinel_kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    ssl: Mapping[str, Any] = field(default_factory=dict, repr=False)
    address_remap: Mapping[tuple[str, int], tuple[str, int]] = field(default_factory=dict)

    def remapped(self, place: tuple[str, int]) -> tuple[str, int]:
        """Return the host and port at which a server is reached that others know as ``place``."""
        return self.address_remap.get(place, place)


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """The broker's options, checked. Names and defaults of kombu's are kombu's, so that peers agree.

    Attributes:
        connection: how connections are made.
        lease_duration: seconds without a sign of life after which a consumer's messages are handed to others.
        publish_timeout: seconds a silent server is waited for by who publishes, where that is less than
            ``socket_timeout``; by default ``broker_publish_timeout``.
        visibility_timeout: seconds after which a message that a Celery worker holds is handed to others.
        sep: stands between a queue's name and its priority step.
        priority_steps: the lists a queue has; the first is the most urgent.
        unacked_key: hash of the messages that are held.
        unacked_index_key: when they were taken.
        unacked_mutex_key: lock of the one who gives them back.
        unacked_mutex_expire: seconds it lasts.
        fanout_prefix: text before the name of a fanout exchange; True is kombu's, False is none.
        fanout_patterns: True puts the routing key into the name of a fanout's channel.
        body_encoding: ``base64``, or ``utf-8`` for bodies that are plain text.
        dead_letter_limit: most dead letters kept; the oldest go first.
        dead_letter_expires: seconds a dead letter is kept.
    """

    connection: ConnectionOptions = field(default_factory=ConnectionOptions)
    lease_duration: float = 8.0
    publish_timeout: float = 5.0
    visibility_timeout: float = 3600.0
    sep: str = "\x06\x16"
    priority_steps: tuple[int, ...] = (0, 3, 6, 9)
    unacked_key: str = "unacked"
    unacked_index_key: str = "unacked_index"
    unacked_mutex_key: str = "unacked_mutex"
    unacked_mutex_expire: float = 300.0
    fanout_prefix: bool | str = True
    fanout_patterns: bool = True
    body_encoding: str = "base64"
    dead_letter_limit: int = 100_000
    dead_letter_expires: float = 30 * 86_400.0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], query: Mapping[str, str]) -> TransportOptions:
        """Check ``broker_transport_options`` and the query of ``broker_url``.

        Raises:
            ImproperlyConfigured: an option is unknown or has a value of the wrong kind.
        """
        given = {**query, **(settings.get("broker_transport_options") or {})}
        connection, rest = connection_options("broker_transport_options", given, known=_names(cls))
        if settings.get("broker_connection_timeout") and "socket_connect_timeout" not in given:
            connection = replace(connection, socket_connect_timeout=float(settings["broker_connection_timeout"]))
        values = {name: _CHECKS[name]("broker_transport_options", name, value) for name, value in rest.items()}
        if "lease_duration" not in values and settings.get("lease_duration"):
            values["lease_duration"] = _above_zero("settings", "lease_duration", settings["lease_duration"])
        if "publish_timeout" not in values and settings.get("broker_publish_timeout"):
            values["publish_timeout"] = float(settings["broker_publish_timeout"])
        return cls(connection=connection, **values)


def _names(kind: type[Any]) -> frozenset[str]:
    return frozenset(option.name for option in fields(kind)) - {"connection"}


def connection_options(
    setting: str, given: Mapping[str, Any], *, known: frozenset[str] = frozenset()
) -> tuple[ConnectionOptions, dict[str, Any]]:
    """Take the options of connections out of a setting.

    Args:
        setting: its name, for errors.
        given: its value.
        known: names that mean something to the caller.

    Returns:
        the options of connections, and what of ``given`` is in ``known``.

    Raises:
        ImproperlyConfigured: an option is unknown or has a value of the wrong kind.
    """
    own = _names(ConnectionOptions)
    values: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    tls: dict[str, Any] = {}
    for name, value in given.items():
        if name in known:
            rest[name] = value
        elif name in own:
            if value is not None:
                values[name] = _CHECKS[name](setting, name, value)
        elif name.startswith("ssl_"):
            tls[name] = value
        elif name not in FOREIGN and name not in _LEFT_TO_US:
            near = get_close_matches(name, own | known, 1)
            meant = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(own | known))}"
            raise ImproperlyConfigured(f"{setting}: unknown option {name!r}{meant}")
    if tls:
        values["ssl"] = {**values.get("ssl", {}), **tls}
    return ConnectionOptions(**values), rest


#: Options of redis-py that projects set and that tq decides itself: it has its own connections and its own retries.
_LEFT_TO_US = frozenset({"max_connections", "retry_on_timeout", "retry_on_error", "protocol", "timeout"})


def _wrong(setting: str, name: str, wanted: str, value: Any) -> ImproperlyConfigured:
    shown = "" if "pass" in name else f", not {value!r}"
    return ImproperlyConfigured(f"{setting}: {name} must be {wanted}{shown}")


def _number(setting: str, name: str, value: Any) -> float:
    if isinstance(value, str):  # as it stands in a URL's query
        try:
            return float(value)
        except ValueError:
            raise _wrong(setting, name, "a number", value) from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(setting, name, "a number", value)
    return float(value)


def _above_zero(setting: str, name: str, value: Any) -> float:
    number = _number(setting, name, value)
    if not number > 0:
        raise _wrong(setting, name, "above 0", value)
    return number


def _whole(setting: str, name: str, value: Any) -> int:
    return int(_above_zero(setting, name, value))


def _text(setting: str, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(setting, name, "a text", value)
    return value


def _truth(setting: str, name: str, value: Any) -> bool:
    if isinstance(value, str) and value.lower() in {"true", "yes", "1", "false", "no", "0"}:
        return value.lower() in {"true", "yes", "1"}
    if not isinstance(value, bool):
        raise _wrong(setting, name, "true or false", value)
    return value


def _truth_or_text(setting: str, name: str, value: Any) -> bool | str:
    return value if isinstance(value, str) else _truth(setting, name, value)


def _mapping(setting: str, name: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(setting, name, "a mapping", value)
    return value


def _places(setting: str, name: str, value: Any) -> Mapping[tuple[str, int], tuple[str, int]]:
    try:
        return {_place(named): _place(reached) for named, reached in value.items()}
    except (AttributeError, ValueError):
        raise _wrong(setting, name, "a mapping of 'host:port' to 'host:port'", value) from None


def _place(text: Any) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _steps(setting: str, name: str, value: Any) -> tuple[int, ...]:
    fits = isinstance(value, Sequence) and not isinstance(value, str)
    if not fits or not value or not all(type(step) is int and 0 <= step <= 9 for step in value) or min(value) != 0:
        raise _wrong(setting, name, "a list of numbers from 0 to 9 that has the 0", value)
    return tuple(sorted(set(value)))


def _encoding(setting: str, name: str, value: Any) -> str:
    if value not in {"base64", "utf-8", None}:
        raise _wrong(setting, name, "base64 or utf-8", value)
    return value or "utf-8"


def _anything(setting: str, name: str, value: Any) -> Any:
    return value


_CHECKS: Mapping[str, Callable[[str, str, Any], Any]] = {
    "global_keyprefix": _text,
    "socket_timeout": _above_zero,
    "socket_connect_timeout": _above_zero,
    "socket_keepalive": _truth,
    "socket_keepalive_options": _mapping,
    "health_check_interval": _number,
    "client_name": _text,
    "credential_provider": _anything,
    "username": _text,
    "password": _text,
    "master_name": _text,
    "sentinel_kwargs": _mapping,
    "ssl": _mapping,
    "address_remap": _places,
    "lease_duration": _above_zero,
    "publish_timeout": _above_zero,
    "visibility_timeout": _above_zero,
    "sep": _text,
    "priority_steps": _steps,
    "unacked_key": _text,
    "unacked_index_key": _text,
    "unacked_mutex_key": _text,
    "unacked_mutex_expire": _above_zero,
    "fanout_prefix": _truth_or_text,
    "fanout_patterns": _truth,
    "body_encoding": _encoding,
    "dead_letter_limit": _whole,
    "dead_letter_expires": _above_zero,
}
