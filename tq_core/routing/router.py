"""Station 2: where a call goes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tq_core.config.routes import Route as RouteSetting
from tq_core.config.routes import RouteRule, route_rules
from tq_core.errors import ImproperlyConfigured, QueueNotFound
from tq_core.routing.queues import Queues

if TYPE_CHECKING:
    from tq_core.task import Task


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one message goes.

    Attributes:
        queue: the queue's name.
        exchange: "" for the default exchange, which routes by queue name.
        routing_key: the routing key.
    """

    queue: str
    exchange: str
    routing_key: str


class Router:
    """Decides by call options, then task attributes, then routes, then the default queue.

    Args:
        settings: the application's settings.
        queues: the application's queues.
    """

    def __init__(self, settings: Any, queues: Queues) -> None:
        self._queues = queues
        self._default = settings.task_default_queue
        self._rules = tuple(_resolve(rule) for rule in route_rules(settings.task_routes))
        self._destinations: dict[str, Destination] = {}

    @property
    def is_constant(self) -> bool:
        """True when no rule exists, so that a task's destination does not depend on its arguments."""
        return not self._rules

    def options_for(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        task: Task | None,
    ) -> Mapping[str, Any]:
        """Return the options of the first rule that has something to say about this call, or none."""
        for rule in self._rules:
            if isinstance(rule, RouteRule):
                if rule.matches(name):
                    return rule.options
                continue
            answer = rule(name, args, kwargs, options, task=task)
            if isinstance(answer, str):
                return {"queue": answer}
            if answer:
                return dict(answer)
        return {}

    def destinations(self, options: Mapping[str, Any]) -> list[Destination]:
        """Return where a call with these options goes; more than one for topic and fanout exchanges.

        Raises:
            QueueNotFound: the queue is unknown and must not be made, or no queue is bound for the routing key.
        """
        queue = options.get("queue")
        if queue is not None:
            return [self.to_queue(getattr(queue, "name", queue), options.get("routing_key"))]
        exchange = getattr(options.get("exchange"), "name", options.get("exchange"))
        key = options.get("routing_key")
        if exchange:
            names = self._queues.bound_to(exchange, key or "")
            if not names:
                raise QueueNotFound(
                    f"No queue in task_queues is bound to exchange {exchange!r} with routing key {key!r}"
                )
            return [Destination(name, exchange, key or "") for name in names]
        if key and key in self._queues:
            return [self.to_queue(key, None)]
        if key:
            spec = self._queues[self._default]
            assert spec.exchange is not None
            names = self._queues.bound_to(spec.exchange.name, key)
            return [Destination(name, spec.exchange.name, key) for name in names] or [self.to_queue(key, None)]
        return [self.to_queue(self._default, None)]

    def to_queue(self, name: str, routing_key: str | None) -> Destination:
        """Return the destination that is a queue."""
        known = self._destinations.get(name) if routing_key is None else None
        if known is not None:
            return known
        spec = self._queues[name]
        assert spec.exchange is not None
        if spec.exchange.type == "direct":
            # A direct exchange is not needed to reach one queue: the default exchange knows it by name.
            destination = Destination(spec.name, "", spec.name)
        else:
            destination = Destination(spec.name, spec.exchange.name, routing_key or spec.routing_key or "")
        if routing_key is None:
            self._destinations[name] = destination
        return destination


def _resolve(rule: RouteSetting) -> Any:
    """Return a rule, or the function that a router object or its dotted path stands for."""
    if isinstance(rule, RouteRule):
        return rule
    router: Any = rule
    if isinstance(rule, str):
        module, _, attribute = rule.replace(":", ".").rpartition(".")
        try:
            router = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise ImproperlyConfigured(f"task_routes: the router {rule!r} cannot be imported: {error}") from error
    if isinstance(router, type):
        router = router()
    method = getattr(router, "route_for_task", None)
    if method is not None:
        return lambda name, args, kwargs, options, task=None: method(name, args, kwargs)
    return router
