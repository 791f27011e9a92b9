"""What may stand in ``broker_transport_options`` for a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from tq_core.errors import ImproperlyConfigured

#: Options of other transports that projects leave in their settings when they switch; without meaning here.
FOREIGN = frozenset(
    {
        "visibility_timeout",
        "polling_interval",
        "queue_order_strategy",
        "priority_steps",
        "sep",
        "global_keyprefix",
        "max_retries",
        "interval_start",
        "interval_step",
        "interval_max",
        "confirm_publish",
        "echo",
    }
)


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """The broker's options, checked.

    Attributes:
        lease_duration: seconds without a sign of life after which a consumer's messages are handed to others.
        busy_timeout: seconds to wait for other writers, or for a server in all attempts, before ``BrokerUnavailable``.
        publish_timeout: seconds publishing may take; by default ``broker_publish_timeout``.
        dead_letter_limit: most dead letters kept; the oldest go first.
        dead_letter_expires: seconds a dead letter is kept.
        broadcast_expires: seconds a broadcast stays readable for a slow listener.
        doorbell: False never wakes waiting processes; they look up to four times a second instead.
        engine_options: passed to SQLAlchemy's ``create_engine``.
    """

    lease_duration: float = 8.0
    busy_timeout: float = 5.0
    publish_timeout: float = 5.0
    dead_letter_limit: int = 100_000
    dead_letter_expires: float = 30 * 86_400.0
    broadcast_expires: float = 60.0
    doorbell: bool = True
    engine_options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> TransportOptions:
        """Check ``broker_transport_options``.

        Raises:
            ImproperlyConfigured: an option is unknown or has a value of the wrong kind.
        """
        given = dict(settings.get("broker_transport_options") or {})
        known = {option.name: option for option in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name in known:
                values[name] = _checked(name, value)
            elif name not in FOREIGN:
                near = get_close_matches(name, known, 1)
                meant = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known))}"
                raise ImproperlyConfigured(f"broker_transport_options: unknown option {name!r}{meant}")
        if "lease_duration" not in values and settings.get("lease_duration"):
            values["lease_duration"] = _checked("lease_duration", settings["lease_duration"])
        if "busy_timeout" not in values and settings.get("broker_connection_timeout"):
            values["busy_timeout"] = float(settings["broker_connection_timeout"])
        if "publish_timeout" not in values and settings.get("broker_publish_timeout"):
            values["publish_timeout"] = float(settings["broker_publish_timeout"])
        return cls(**values)


def _checked(name: str, value: Any) -> Any:
    if name == "engine_options":
        if not isinstance(value, Mapping):
            raise ImproperlyConfigured(f"broker_transport_options: {name} must be a mapping, not {value!r}")
        return value
    if name == "doorbell":
        if not isinstance(value, bool):
            raise ImproperlyConfigured(f"broker_transport_options: {name} must be true or false, not {value!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ImproperlyConfigured(f"broker_transport_options: {name} must be a number above 0, not {value!r}")
    return int(value) if name == "dead_letter_limit" else float(value)
