"""The queues of ``task_queues``: every form they are written in, and the one form programs read.

A queue may be a name, a mapping (YAML's form), a kombu ``Queue`` (recognised by its attributes, so that
kombu need not be imported), or an entry of the mapping ``{name: options}`` that Celery took before version 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tq_core.config import duration, size
from tq_core.config.mistake import WrongValue
from tq_core.config.nearness import nearest


@dataclass(frozen=True, slots=True)
class ExchangeSpec:
    """An exchange, as configured.

    Attributes:
        name: its name; empty means the exchange of the same name as the queue, or the default one.
        type: ``direct``, ``topic``, ``fanout``, ``headers`` or a plugin's word; None means the default type.
        durable: True if it outlives a restart of the broker.
        auto_delete: True if it goes when its last queue has gone.
        delivery_mode: 1 transient, 2 persistent, None the default.
        arguments: passed to the broker as they are.
    """

    name: str = ""
    type: str | None = None
    durable: bool = True
    auto_delete: bool = False
    delivery_mode: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BindingSpec:
    """One more binding of a queue, beside its own exchange and routing key.

    Attributes:
        exchange: the exchange it is bound to.
        routing_key: the key.
        arguments: passed to the broker as they are.
    """

    exchange: ExchangeSpec
    routing_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue, as configured. None means "the default of the settings".

    Attributes:
        name: the queue's name.
        exchange: the exchange it is bound to, or None.
        routing_key: the key of that binding, or None.
        durable: True if it outlives a restart of the broker.
        exclusive: True if only the declaring connection may use it.
        auto_delete: True if it goes when its last consumer has gone.
        no_ack: True if messages count as done when they are delivered.
        no_declare: True if it exists already and must not be declared.
        alias: another name it is known under, or None.
        queue_type: ``classic``, ``quorum``, ``stream``, or None.
        max_priority: the largest priority, or None.
        expires: seconds without use after which the broker removes it, or None.
        message_ttl: seconds a message may wait, or None.
        max_length: messages at most, or None.
        max_length_bytes: bytes at most, or None.
        queue_arguments: passed to the broker as they are.
        binding_arguments: passed to the broker with the binding.
        consumer_arguments: passed to the broker by each consumer.
        bindings: further bindings.
    """

    name: str
    exchange: ExchangeSpec | None = None
    routing_key: str | None = None
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    no_ack: bool = False
    no_declare: bool = False
    alias: str | None = None
    queue_type: str | None = None
    max_priority: int | None = None
    expires: float | None = None
    message_ttl: float | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    queue_arguments: Mapping[str, Any] = field(default_factory=dict)
    binding_arguments: Mapping[str, Any] = field(default_factory=dict)
    consumer_arguments: Mapping[str, Any] = field(default_factory=dict)
    bindings: tuple[BindingSpec, ...] = ()

    @property
    def is_broadcast(self) -> bool:
        """True for a kombu ``Broadcast``: every process that reads the settings has a queue of its own there."""
        kind = self.exchange.type if self.exchange is not None else None
        return kind == "fanout" and self.auto_delete and self.alias is not None


_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_OPTIONS = {"type": "object"}
_PERIOD = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": duration.PATTERN}]}
_BYTES = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": size.PATTERN}]}
_MODE = {"enum": [1, 2, "transient", "persistent"]}
_EXCHANGE_KEYS: dict[str, Any] = {
    "name": _TEXT,
    "type": _TEXT,
    "durable": _FLAG,
    "auto_delete": _FLAG,
    "delivery_mode": _MODE,
    "arguments": _OPTIONS,
}
_EXCHANGE: dict[str, Any] = {
    "anyOf": [_TEXT, {"type": "object", "properties": _EXCHANGE_KEYS, "additionalProperties": False}]
}
_BINDING_KEYS: dict[str, Any] = {
    "exchange": _EXCHANGE,
    "exchange_type": _TEXT,
    "routing_key": _TEXT,
    "arguments": _OPTIONS,
}
_QUEUE_KEYS: dict[str, Any] = {
    "name": {**_TEXT, "minLength": 1},
    "exchange": _EXCHANGE,
    "exchange_type": _TEXT,
    "exchange_durable": _FLAG,
    "exchange_auto_delete": _FLAG,
    "exchange_arguments": _OPTIONS,
    "delivery_mode": _MODE,
    "routing_key": _TEXT,
    "binding_key": _TEXT,
    "durable": _FLAG,
    "queue_durable": _FLAG,
    "exclusive": _FLAG,
    "auto_delete": _FLAG,
    "no_ack": _FLAG,
    "no_declare": _FLAG,
    "alias": _TEXT,
    "queue_type": _TEXT,
    "max_priority": {"type": "integer", "minimum": 0, "maximum": 255},
    "expires": _PERIOD,
    "message_ttl": _PERIOD,
    "max_length": _COUNT,
    "max_length_bytes": _BYTES,
    "queue_arguments": _OPTIONS,
    "binding_arguments": _OPTIONS,
    "consumer_arguments": _OPTIONS,
    "bindings": {
        "type": "array",
        "items": {"type": "object", "properties": _BINDING_KEYS, "additionalProperties": False},
    },
}
_OPTIONS_BY_NAME = {"type": ["object", "null"], "properties": _QUEUE_KEYS, "additionalProperties": False}
_QUEUE = {"type": "object", "properties": _QUEUE_KEYS, "additionalProperties": False, "required": ["name"]}

#: The JSON Schema of ``task_queues`` in a YAML file.
SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "items": {"anyOf": [{**_TEXT, "minLength": 1}, _QUEUE]}},
        {"type": "object", "additionalProperties": _OPTIONS_BY_NAME},
    ]
}

_EXPECTED = "a queue: a name, a mapping with a 'name', or a kombu Queue"
_ON_BOTH = ("durable", "exclusive", "auto_delete", "no_ack", "no_declare", "alias")


def queue_specs(value: Any) -> tuple[QueueSpec, ...]:
    """Read ``task_queues`` in any of its forms.

    Args:
        value: None, a sequence of queues, or a mapping of queues by name.

    Returns:
        The queues in the order given.

    Raises:
        WrongValue: an entry cannot be read; its path leads to the wrong part.
    """
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return tuple(_from_options(name, options) for name, options in value.items())
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise WrongValue("a list of queues, or a mapping of queues by name", value)
    specs: list[QueueSpec] = []
    for index, entry in enumerate(value):
        try:
            spec = _queue(entry)
        except WrongValue as wrong:
            raise wrong.below(index) from None
        if any(spec.name == other.name for other in specs):
            raise WrongValue("each queue once", spec.name, (index,))
        specs.append(spec)
    return tuple(specs)


def _from_options(name: Any, options: Any) -> QueueSpec:
    if not isinstance(name, str) or not name:
        raise WrongValue("the name of a queue", name)
    try:
        if options is None or isinstance(options, Mapping):
            return _from_mapping({**(options or {}), "name": name})
        return _queue(options)
    except WrongValue as wrong:
        raise wrong.below(name) from None


def _queue(entry: Any) -> QueueSpec:
    if isinstance(entry, QueueSpec):
        return entry
    if isinstance(entry, str) and entry:
        return QueueSpec(entry)
    if isinstance(entry, Mapping):
        if not entry.get("name"):
            raise WrongValue("a queue with a 'name'", entry)
        return _from_mapping(entry)
    if hasattr(entry, "name") and hasattr(entry, "exchange") and hasattr(entry, "routing_key"):
        return _from_object(entry)
    raise WrongValue(_EXPECTED, entry)


def _from_mapping(options: Mapping[str, Any]) -> QueueSpec:
    _refuse_unknown(options, _QUEUE_KEYS)
    exchange = _exchange(options)
    given: dict[str, Any] = {
        "name": options["name"],
        "exchange": exchange,
        "routing_key": options.get("routing_key", options.get("binding_key")),
        "queue_type": options.get("queue_type"),
        "max_priority": options.get("max_priority"),
        "max_length": options.get("max_length"),
        "durable": options.get("queue_durable", True),
    }
    given |= {key: options[key] for key in _ON_BOTH if key in options}
    for key, read in (
        ("expires", duration.parse_duration),
        ("message_ttl", duration.parse_duration),
        ("max_length_bytes", size.parse_size),
    ):
        if options.get(key) is not None:
            try:
                given[key] = read(options[key])
            except WrongValue as wrong:
                raise wrong.below(key) from None
    for key in ("queue_arguments", "binding_arguments", "consumer_arguments"):
        given[key] = _options(options, key)
    given["bindings"] = tuple(_binding(index, each) for index, each in enumerate(options.get("bindings") or ()))
    return QueueSpec(**given)


def _exchange(options: Mapping[str, Any]) -> ExchangeSpec | None:
    exchange = options.get("exchange")
    flat = {
        "type": options.get("exchange_type"),
        "durable": options.get("exchange_durable", True),
        "auto_delete": options.get("exchange_auto_delete", False),
        "delivery_mode": options.get("delivery_mode"),
        "arguments": _options(options, "exchange_arguments"),
    }
    if exchange is None and flat["type"] is None:
        return None
    if exchange is None or isinstance(exchange, str):
        given = {**flat, "name": exchange or ""}
    elif isinstance(exchange, Mapping):
        try:
            _refuse_unknown(exchange, _EXCHANGE_KEYS)
        except WrongValue as wrong:
            raise wrong.below("exchange") from None
        given = {**flat, **exchange}
    elif hasattr(exchange, "name") and hasattr(exchange, "type"):
        return _exchange_object(exchange)
    else:
        raise WrongValue("an exchange: a name, a mapping, or a kombu Exchange", exchange, ("exchange",))
    given["delivery_mode"] = _mode(given["delivery_mode"])
    return ExchangeSpec(**given)


def _binding(index: int, entry: Any) -> BindingSpec:
    if not isinstance(entry, Mapping):
        raise WrongValue("a mapping with an 'exchange' and a 'routing_key'", entry, ("bindings", index))
    try:
        _refuse_unknown(entry, _BINDING_KEYS)
        exchange = _exchange(entry) or ExchangeSpec()
        return BindingSpec(exchange, entry.get("routing_key", ""), _options(entry, "arguments"))
    except WrongValue as wrong:
        raise wrong.below("bindings", index) from None


def _from_object(queue: Any) -> QueueSpec:
    flags: dict[str, Any] = {key: getattr(queue, key, None) for key in _ON_BOTH}
    expires, ttl = getattr(queue, "expires", None), getattr(queue, "message_ttl", None)
    return QueueSpec(
        name=queue.name,
        exchange=_exchange_object(queue.exchange),
        routing_key=queue.routing_key or None,
        **{key: flag for key, flag in flags.items() if flag is not None},
        max_priority=getattr(queue, "max_priority", None),
        expires=None if expires is None else duration.parse_duration(expires),
        message_ttl=None if ttl is None else duration.parse_duration(ttl),
        max_length=getattr(queue, "max_length", None),
        max_length_bytes=getattr(queue, "max_length_bytes", None),
        queue_arguments=dict(getattr(queue, "queue_arguments", None) or {}),
        binding_arguments=dict(getattr(queue, "binding_arguments", None) or {}),
        consumer_arguments=dict(getattr(queue, "consumer_arguments", None) or {}),
        bindings=tuple(
            BindingSpec(
                _exchange_object(each.exchange) or ExchangeSpec(),
                each.routing_key or "",
                dict(each.arguments or {}),
            )
            for each in getattr(queue, "bindings", None) or ()
        ),
    )


def _exchange_object(exchange: Any) -> ExchangeSpec | None:
    if isinstance(exchange, str):
        return ExchangeSpec(exchange) if exchange else None
    # kombu gives a queue without an exchange one without a name.
    if exchange is None or not exchange.name:
        return None
    return ExchangeSpec(
        name=exchange.name,
        type=exchange.type,
        durable=bool(getattr(exchange, "durable", True)),
        auto_delete=bool(getattr(exchange, "auto_delete", False)),
        delivery_mode=_mode(getattr(exchange, "delivery_mode", None)),
        arguments=dict(getattr(exchange, "arguments", None) or {}),
    )


def _mode(value: Any) -> int | None:
    mode = {None: None, 1: 1, 2: 2, "transient": 1, "persistent": 2}.get(value, 0)
    if mode == 0:
        raise WrongValue("1 or 'transient', or 2 or 'persistent'", value, ("delivery_mode",))
    return mode


def _options(options: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = options.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise WrongValue("a mapping", value, (key,))
    return dict(value or {})


def _refuse_unknown(options: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in options:
        if key not in known:
            raise WrongValue("one of " + ", ".join(known), key, (key,), nearest(key, known))
