"""The rules of ``task_routes``: every form they are written in, and the one form the router reads."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tq_core.config import duration
from tq_core.config.mistake import WrongValue
from tq_core.config.nearness import nearest


@dataclass(frozen=True, slots=True)
class RouteRule:
    """Where the tasks of one pattern go.

    Attributes:
        pattern: as it was written.
        expression: matches the beginning of the names it means; None if the pattern is one task's exact name.
        options: publish options, such as ``queue``, ``routing_key`` or ``priority``; durations in seconds.
    """

    pattern: str
    expression: re.Pattern[str] | None
    options: Mapping[str, Any]

    def matches(self, name: str) -> bool:
        """Say whether the rule is for the task of this name."""
        return self.pattern == name if self.expression is None else self.expression.match(name) is not None


#: A rule, or something that decides itself: a function, an object with ``route_for_task``, or its dotted
#: path.
Route: TypeAlias = RouteRule | Callable[..., Any] | str

_PERIOD = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": duration.PATTERN}]}
_OPTION_KEYS: dict[str, Any] = {
    "queue": {"type": "string", "minLength": 1},
    "exchange": {"type": "string"},
    "exchange_type": {"type": "string"},
    "routing_key": {"type": "string"},
    "priority": {"type": ["integer", "null"], "minimum": 0, "maximum": 255},
    "delivery_mode": {"enum": [1, 2, "transient", "persistent"]},
    "serializer": {"type": "string"},
    "compression": {"type": ["string", "null"]},
    "expires": _PERIOD,
    "countdown": _PERIOD,
    "headers": {"type": "object"},
    "immediate": {"type": "boolean"},
    "mandatory": {"type": "boolean"},
    "retry": {"type": "boolean"},
    "retry_policy": {"type": "object"},
    "time_limit": _PERIOD,
    "soft_time_limit": _PERIOD,
    "ignore_result": {"type": "boolean"},
}
_PERIODS = ("expires", "countdown", "time_limit", "soft_time_limit")
_TARGET: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "object", "properties": _OPTION_KEYS, "additionalProperties": False},
    ]
}
_MAP: dict[str, Any] = {"type": "object", "additionalProperties": _TARGET}
_PAIR: dict[str, Any] = {
    "type": "array",
    "prefixItems": [{"type": "string"}, _TARGET],
    "minItems": 2,
    "maxItems": 2,
}

#: The JSON Schema of ``task_routes`` in a YAML file.
SCHEMA: dict[str, Any] = {
    "anyOf": [
        _MAP,
        {"type": "array", "items": {"anyOf": [{"type": "string"}, _MAP, _PAIR]}},
        {"type": "string"},
    ]
}

_EXPECTED = "a mapping of patterns to queues, a pair, or the dotted path of a router"


def route_rules(value: Any) -> tuple[Route, ...]:
    """Read ``task_routes`` in any of its forms.

    A pattern is a task's name, a glob (``feeds.*``), or a regular expression (``/…/``, ``re:…``, or a compiled one),
    which need only match the beginning of a name. In one mapping names are asked before patterns.

    Args:
        value: None, a mapping, a router, or a sequence of mappings, pairs and routers.

    Returns:
        Rules and routers in the order in which they are asked.

    Raises:
        WrongValue: an entry cannot be read; its path leads to the wrong part.
    """
    if value is None:
        return ()
    if _is_router(value) or isinstance(value, Mapping):
        return tuple(_routes(value))
    if not isinstance(value, (list, tuple)):
        raise WrongValue(_EXPECTED, value)
    rules: list[Route] = []
    for index, entry in enumerate(value):
        try:
            rules += _routes(entry)
        except WrongValue as wrong:
            raise wrong.below(index) from None
    return tuple(rules)


def _is_router(value: Any) -> bool:
    return isinstance(value, str) or callable(value) or hasattr(value, "route_for_task")


def _routes(entry: Any) -> Iterable[Route]:
    if isinstance(entry, Mapping):
        return _exact_first([_rule(pattern, target) for pattern, target in entry.items()])
    if _is_router(entry):
        return [entry]
    if not isinstance(entry, (list, tuple)) or not entry:
        raise WrongValue(_EXPECTED, entry)
    if len(entry) == 2 and isinstance(entry[0], (str, re.Pattern)) and isinstance(entry[1], (str, Mapping)):
        return [_rule(*entry)]
    # Celery took a list of pairs within the list as an ordered mapping.
    return _exact_first([rule for pair in entry for rule in _routes(pair)])


def _exact_first(rules: list[Route]) -> list[Route]:
    """Order the rules of one mapping as Celery asks them: a task's own name before the patterns it matches."""
    return sorted(rules, key=lambda rule: isinstance(rule, RouteRule) and rule.expression is not None)


def _rule(pattern: Any, target: Any) -> RouteRule:
    written = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
    if not isinstance(written, str):
        raise WrongValue("the name or pattern of a task", pattern)
    if isinstance(target, str) and target:
        options: dict[str, Any] = {"queue": target}
    elif isinstance(target, Mapping):
        options = {}
        for key, option in target.items():
            if key not in _OPTION_KEYS:
                known = tuple(_OPTION_KEYS)
                raise WrongValue("one of " + ", ".join(known), key, (written, key), nearest(key, known))
            try:
                is_period = key in _PERIODS and isinstance(option, str)
                options[key] = duration.parse_duration(option) if is_period else option
            except WrongValue as wrong:
                raise wrong.below(written, key) from None
    else:
        raise WrongValue("a queue, or a mapping of options with a 'queue'", target, (written,))
    return RouteRule(written, _expression(pattern), options)


def _expression(pattern: str | re.Pattern[str]) -> re.Pattern[str] | None:
    if isinstance(pattern, re.Pattern):
        return pattern
    if pattern.startswith("re:"):
        source = pattern[3:]
    elif len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/"):
        source = pattern[1:-1]
    elif any(sign in pattern for sign in "*?["):
        source = fnmatch.translate(pattern)
    else:
        return None
    try:
        return re.compile(source)
    except re.error as error:
        raise WrongValue(f"a regular expression ({error})", pattern, (pattern,)) from None
