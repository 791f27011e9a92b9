"""The queues an application knows: configured ones, the default one, and those made when first named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tq_core.config.queues import ExchangeSpec, QueueSpec, queue_specs
from tq_core.errors import ImproperlyConfigured, QueueNotFound


class Queues(Mapping[str, QueueSpec]):
    """Queues by name, with every default filled in. Reading is safe from any thread.

    Args:
        settings: the application's settings.
    """

    def __init__(self, settings: Any) -> None:
        self._default_queue: str = settings.task_default_queue
        self._default_exchange: str = settings.task_default_exchange or self._default_queue
        self._default_type: str = settings.task_default_exchange_type
        self._default_key: str = settings.task_default_routing_key or self._default_queue
        self._max_priority = settings.task_queue_max_priority
        self._create_missing = bool(settings.task_create_missing_queues)
        self._missing_type: str = settings.task_create_missing_queue_exchange_type or self._default_type
        configured = queue_specs(settings.task_queues)
        self._queues = {spec.name: self._complete(spec) for spec in configured}
        if not self._queues:
            spec = QueueSpec(
                self._default_queue,
                ExchangeSpec(self._default_exchange, self._default_type),
                self._default_key,
            )
            self._queues[spec.name] = self._complete(spec)
        self._configured = tuple(self._queues)
        self._aliases = {spec.alias: spec.name for spec in self._queues.values() if spec.alias}

    def __getitem__(self, name: str) -> QueueSpec:
        """Return a queue, making it where that is allowed.

        Raises:
            QueueNotFound: it is not configured, and ``task_create_missing_queues`` is off.
        """
        spec = self._queues.get(self._aliases.get(name, name))
        if spec is not None:
            return spec
        if not self._create_missing:
            known = ", ".join(sorted(self._queues))
            raise QueueNotFound(
                f"Queue {name!r} is not defined in task_queues (defined: {known}) and task_create_missing_queues is off"
            )
        spec = self._complete(QueueSpec(name, ExchangeSpec(name, self._missing_type), name))
        self._queues[name] = spec
        return spec

    def __iter__(self) -> Any:
        return iter(tuple(self._queues))

    def __len__(self) -> int:
        return len(self._queues)

    def __contains__(self, name: object) -> bool:
        return name in self._queues

    def consumed(self, only: Sequence[str] = (), excluded: Sequence[str] = ()) -> list[str]:
        """Return the names a worker receives from.

        Args:
            only: these, made if they are missing; all configured ones when empty.
            excluded: none of these.

        Raises:
            ImproperlyConfigured: nothing is left to receive from.
        """
        names = [self[name].name for name in only] if only else list(self._configured)
        left = [name for name in names if name not in excluded]
        if not left:
            raise ImproperlyConfigured(
                f"No queue is left to consume from: {', '.join(names)} without {', '.join(excluded)}"
            )
        return left

    def bound_to(self, exchange: str, routing_key: str) -> list[str]:
        """Return the names of the known queues that a message to this exchange reaches."""
        found = []
        for spec in self._queues.values():
            bindings = [
                (spec.exchange, spec.routing_key),
                *((b.exchange, b.routing_key) for b in spec.bindings),
            ]
            if any(
                bound is not None
                and bound.name == exchange
                and _matches(bound.type or "direct", key or "", routing_key)
                for bound, key in bindings
            ):
                found.append(spec.name)
        return found

    def _complete(self, spec: QueueSpec) -> QueueSpec:
        exchange = spec.exchange or ExchangeSpec()
        if not exchange.name:
            exchange = replace(exchange, name=spec.name if spec.exchange is None else self._default_exchange)
        if exchange.type is None:
            exchange = replace(exchange, type=self._default_type)
        return replace(
            spec,
            exchange=exchange,
            routing_key=spec.routing_key if spec.routing_key is not None else spec.name,
            max_priority=spec.max_priority if spec.max_priority is not None else self._max_priority,
        )


def _matches(kind: str, pattern: str, routing_key: str) -> bool:
    if kind == "fanout":
        return True
    if kind == "topic":
        words = (
            r"(?:[^.]+(?:\.[^.]+)*)?" if word == "#" else r"[^.]+" if word == "*" else re.escape(word)
            for word in pattern.split(".")
        )
        return re.fullmatch(r"\.".join(words).replace(r"\.(?:[^.]+", r"(?:\.[^.]+"), routing_key) is not None
    return pattern == routing_key
