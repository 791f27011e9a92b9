"""The queues an application knows: configured ones, the default one, and those made when first named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tq_core.config.queues import ExchangeSpec, QueueSpec, queue_specs
from tq_core.errors import ImproperlyConfigured, QueueNotFound
from tq_core.routing.bindings import matches

#: The settings that say where calls go, routes included.
SETTINGS = (
    "task_routes",
    "task_queues",
    "task_default_queue",
    "task_default_exchange",
    "task_default_exchange_type",
    "task_default_routing_key",
    "task_create_missing_queues",
    "task_create_missing_queue_exchange_type",
    "task_queue_max_priority",
)
#: Pairs of exchange and routing key of which is remembered where they lead to.
_MOST_KNOWN = 10_000


class Queues(Mapping[str, QueueSpec]):
    """Queues by name, with every default filled in. Reading is safe from any thread.

    Args:
        settings: the application's settings.
    """

    def __init__(self, settings: Any) -> None:
        self._settings = settings
        self._chosen = False
        self.read()

    def read(self) -> None:
        """Read the settings, which may have been changed; but not where the program has chosen or added queues."""
        if self._chosen:
            return
        settings = self._settings
        self.default_queue: str = settings.task_default_queue
        self.default_exchange: str = settings.task_default_exchange or self.default_queue
        self.default_routing_key: str = settings.task_default_routing_key or self.default_queue
        self._default_type: str = settings.task_default_exchange_type
        self._max_priority = settings.task_queue_max_priority
        self._create_missing = bool(settings.task_create_missing_queues)
        self._missing_type: str = settings.task_create_missing_queue_exchange_type or self._default_type
        configured = queue_specs(settings.task_queues)
        self._queues = {spec.name: self._complete(spec) for spec in configured}
        if not self._queues:
            spec = QueueSpec(
                self.default_queue,
                ExchangeSpec(self.default_exchange, self._default_type),
                self.default_routing_key,
            )
            self._queues[spec.name] = self._complete(spec)
        self._consumed = list(self._queues)
        self._aliases = {spec.alias: spec.name for spec in self._queues.values() if spec.alias}
        self._reached: dict[tuple[str, str], list[str]] = {}

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
        return self._add(QueueSpec(name, ExchangeSpec(name, self._missing_type), name))

    def __iter__(self) -> Any:
        return iter(tuple(self._queues))

    def __len__(self) -> int:
        return len(self._queues)

    def __contains__(self, name: object) -> bool:
        return name in self._queues

    # what a worker receives from

    @property
    def consume_from(self) -> list[str]:
        """Names of the queues that this process's worker receives from."""
        return list(self._consumed)

    def select(self, only: Sequence[str] | str = (), excluded: Sequence[str] | str = ()) -> None:
        """Choose what :attr:`consume_from` says; as ``-Q`` and ``-X`` of the worker.

        Raises:
            QueueNotFound: a queue is not configured and must not be made.
            ImproperlyConfigured: nothing is left to receive from.
        """
        self._consumed = self.consumed(_names(only), _names(excluded))
        self._chosen = True

    def deselect(self, excluded: Sequence[str] | str) -> None:
        """Take queues out of :attr:`consume_from`."""
        gone = {self._aliases.get(name, name) for name in _names(excluded)}
        self._consumed = [name for name in self._consumed if name not in gone]
        self._chosen = True

    def select_add(self, queue: Any, **options: Any) -> QueueSpec:
        """Add a queue that the worker receives from, whatever ``-Q`` says; for receivers of ``celeryd_after_setup``.

        Args:
            queue: as for :meth:`add`.
            **options: as for :meth:`add`.
        """
        spec = self.add(queue, **options)
        if spec.name not in self._consumed:
            self._consumed.append(spec.name)
        return spec

    def add(self, queue: Any, **options: Any) -> QueueSpec:
        """Add a queue to those that are known.

        Args:
            queue: a name, a mapping as in ``task_queues``, or a kombu ``Queue``.
            **options: of a queue that is given by name, as in ``task_queues``.

        Raises:
            WrongValue: it is no queue.
        """
        given = {queue: options} if isinstance(queue, str) else [queue]
        self._chosen = True
        return self._add(queue_specs(given)[0])

    def consumed(self, only: Sequence[str] = (), excluded: Sequence[str] = ()) -> list[str]:
        """Return the names a worker receives from.

        Args:
            only: these, made if they are missing; all configured ones when empty.
            excluded: none of these.

        Raises:
            QueueNotFound: a queue is not configured and must not be made.
            ImproperlyConfigured: nothing is left to receive from.
        """
        names = [self[name].name for name in only] if only else list(self._consumed)
        gone = {self._aliases.get(name, name) for name in excluded}
        left = [name for name in dict.fromkeys(names) if name not in gone]
        if not left:
            raise ImproperlyConfigured(
                f"No queue is left to consume from: {', '.join(names)} without {', '.join(excluded)}"
            )
        return left

    # where messages come to

    def bound_to(self, exchange: str, routing_key: str) -> list[str]:
        """Return the names of the known queues that a message to this exchange reaches."""
        found = self._reached.get((exchange, routing_key))
        if found is None:
            found = [spec.name for spec in tuple(self._queues.values()) if _reaches(spec, exchange, routing_key)]
            if len(self._reached) >= _MOST_KNOWN:
                self._reached.clear()
            self._reached[exchange, routing_key] = found
        return found

    def _add(self, spec: QueueSpec) -> QueueSpec:
        spec = self._complete(spec)
        self._queues[spec.name] = spec
        if spec.alias:
            self._aliases[spec.alias] = spec.name
        self._reached.clear()
        return spec

    def _complete(self, spec: QueueSpec) -> QueueSpec:
        exchange = spec.exchange or ExchangeSpec()
        if not exchange.name:
            exchange = replace(exchange, name=self.default_exchange)
        if exchange.type is None:
            exchange = replace(exchange, type=self._default_type)
        return replace(
            spec,
            exchange=exchange,
            routing_key=spec.routing_key if spec.routing_key is not None else spec.name,
            max_priority=spec.max_priority if spec.max_priority is not None else self._max_priority,
        )


def _names(given: Iterable[str] | str) -> list[str]:
    return given.split(",") if isinstance(given, str) else list(given)


def _reaches(spec: QueueSpec, exchange: str, routing_key: str) -> bool:
    bindings = [(spec.exchange, spec.routing_key), *((b.exchange, b.routing_key) for b in spec.bindings)]
    return any(
        bound is not None and bound.name == exchange and matches(bound.type or "direct", key or "", routing_key)
        for bound, key in bindings
    )
